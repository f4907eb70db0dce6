"""The history of the database's tables, by Alembic; see docs/database.md.

It is inside of the package to be in the wheel and in the image.
"""
