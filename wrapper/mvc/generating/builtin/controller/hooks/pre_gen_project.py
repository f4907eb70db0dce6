"""Refuses an invalid controller, in one sentence."""

import json
import sys

[refusal] = json.loads(r"""{{ [cookiecutter | refusal] | tojson }}""")
if refusal:
    sys.exit(refusal)
