"""``mvc generate`` and ``mvc destroy``: code that a project grows by."""
