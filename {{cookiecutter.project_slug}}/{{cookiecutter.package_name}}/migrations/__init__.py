"""The history of the database's tables, by Alembic; see docs/database.md.

It is part of the package, so that the wheel and the image contain it.
"""
