"""``mvc generate`` and ``mvc destroy``: code added to a project, and removed."""
