"""Refuses an invalid name for a generator, in one sentence."""

import json
import re
import sys

name, slug = json.loads(r"""{{ [cookiecutter.name, cookiecutter.__name] | tojson }}""")
if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]{0,29}", name):
    sys.exit(f"`{name}` must begin with a letter and be at most 30 letters, digits, - and _.")
if slug == "generator":
    sys.exit("`generator` would hide the built-in generator of that name.")
