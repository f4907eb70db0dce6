"""``mvc check``, ``mvc diff`` and ``mvc update``: what is new in a project's template."""
