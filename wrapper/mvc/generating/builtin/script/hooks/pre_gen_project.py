"""Refuses anything but a simple file name, in one sentence."""

import json
import re
import sys

[name] = json.loads(r"""{{ [cookiecutter.name] | tojson }}""")
if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
    sys.exit(f"`{name}` must be a file name of letters, digits, dots, hyphens and underscores.")
