"""A Sphinx directive that draws the workflows in .github/workflows/."""

import re
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WORKFLOWS = Path(__file__).resolve().parents[2] / ".github" / "workflows"
EVENTS = {
    "push": "push",
    "pull_request": "pull request",
    "schedule": "every week",
    "workflow_dispatch": "by hand",
}
ROW = "display: flex; align-items: center; gap: 0.7em; overflow-x: auto"
HEAD = "flex: 0 0 min(11em, 40%); line-height: 1.3"
STAGE = "display: flex; flex-direction: column; gap: 0.4em"
JOB = "border: 1px solid; border-radius: 0.4em; padding: 0.2em 0.7em"


class Pipeline(SphinxDirective):
    """Draw the events that start each workflow, then its jobs in order."""

    def run(self) -> list[nodes.Node]:
        """Return the purpose and the diagram of each workflow."""
        found: list[nodes.Node] = []
        for file in sorted(WORKFLOWS.glob("*.y*ml")):
            self.env.note_dependency(str(file))
            source = file.read_text("utf-8")
            drawn = picture(file.name, yaml.safe_load(source))
            found.append(nodes.paragraph("", purpose(source)))
            found.append(nodes.raw("", drawn, format="html"))
        return found


def purpose(source: str) -> str:
    """Return the comment at the top of a workflow."""
    comment = re.match("(#.*\n)*", source)
    return " ".join(re.findall("^# (.*)$", comment[0] if comment else "", re.M))


def picture(name: str, workflow: dict[Any, Any]) -> str:
    """Return the diagram of a workflow as HTML."""
    # YAML 1.1 parses an unquoted `on` as true.
    starts = workflow.get(True) or workflow["on"]
    starts = [starts] if isinstance(starts, str) else starts
    events = ", ".join(EVENTS.get(event, event) for event in starts)
    head = f"<strong>{name}</strong><br><small>{events}</small>"
    parts = [f'<div style="{HEAD}">{head}</div>']
    for stage in stages(workflow["jobs"]):
        drawn = "".join(f'<div style="{JOB}">{escape(job)}</div>' for job in stage)
        parts.append(f'<div style="{STAGE}">{drawn}</div>')
    return f'<div style="{ROW}">{"<div>→</div>".join(parts)}</div>'


def stages(jobs: dict[str, Any]) -> list[list[str]]:
    """Return the titles of the jobs; each stage needs jobs of the previous one."""

    def depth(job: str) -> int:
        needs = jobs[job].get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        return 1 + max(map(depth, needs), default=0)

    found: dict[int, list[str]] = {}
    for job, content in jobs.items():
        found.setdefault(depth(job), []).extend(titles(job, content))
    return [found[number] for number in sorted(found)]


def titles(job: str, content: dict[str, Any]) -> list[str]:
    """Return the titles of a job on GitHub, one for each row of its matrix."""
    matrix = content.get("strategy", {}).get("matrix", {})
    rows = matrix.get("include", [{}]) if isinstance(matrix, dict) else [{}]
    return [row.get("name", content.get("name", job)) for row in rows]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("pipeline", Pipeline)
    return {"parallel_read_safe": True}
