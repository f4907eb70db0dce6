"""A Sphinx directive that lists all settings."""

from importlib import import_module

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Settings(SphinxDirective):
    """Create a section with a table for each title."""

    def run(self) -> list[nodes.Node]:
        """Return the sections for the settings of the package ``settings_package``."""
        package = self.config.settings_package
        declared = import_module(f"{package}.server.settings").SETTINGS
        describe = import_module(f"{package}.config.variables").describe
        lines = []
        for title, settings in describe(*declared).items():
            lines += [f"## {title}", "", "| Variable | Default | Meaning |"]
            lines.append("| --- | --- | --- |")
            for setting in settings:
                cells = [cell.replace("|", r"\|") for cell in setting]
                lines.append("| `{}` | {} | {} |".format(*cells))
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive to Sphinx."""
    app.add_config_value("settings_package", "", "env")
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
