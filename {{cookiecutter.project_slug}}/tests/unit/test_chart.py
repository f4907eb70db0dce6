import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "{{ cookiecutter.project_slug }}"


def test_chart_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = (CHART / "Chart.yaml").read_text("utf-8")

    assert re.findall(r'^appVersion: "(.+)"$', chart, re.M) == [project["version"]]
