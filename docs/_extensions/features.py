"""A Sphinx directive that lists the files of an answer, from the table in the hook."""

import runpy
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HOOK = Path(__file__).resolve().parents[2] / "hooks" / "post_gen_project.py"
FEATURES = runpy.run_path(str(HOOK))["FEATURES"]


class Files(SphinxDirective):
    """List the files that exist only with one answer."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the list for ``ANSWER VALUE``; the value is true by default."""
        self.env.note_dependency(str(HOOK))
        chosen = tuple([*self.arguments, True][:2])
        items = []
        for path in FEATURES[chosen]:
            others = [answer for answer, value in FEATURES if path in FEATURES[answer, value]]
            others.remove(chosen[0])
            more = f" (with `{'`, `'.join(others)}`)" if others else ""
            items.append(f"- {shown(path)}{more}")
        return self.parse_text_to_nodes("\n".join(items))


def shown(path: str) -> str:
    """Return a path with the placeholders that other pages use."""
    return f"`{path.format(project_slug='<slug>', package_name='<package>')}`"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("files", Files)
    return {"parallel_read_safe": True}
