"""A Sphinx directive that lists the verbs of a Makefile, with their help texts."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).resolve().parents[1]


class Verbs(SphinxDirective):
    """List the verbs of the Makefile at a path, relative to the folder of these docs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        makefile = DOCS / self.arguments[0]
        self.env.note_dependency(str(makefile))
        verbs = re.findall(r"^([a-z-]+):.*## (.*)$", makefile.read_text("utf-8"), re.M)
        rows = (f"| `make {verb}` | {text} |" for verb, text in verbs)
        return self.parse_text_to_nodes("\n".join(["| Type | To |", "| --- | --- |", *rows]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("verbs", Verbs)
    return {"parallel_read_safe": True}
