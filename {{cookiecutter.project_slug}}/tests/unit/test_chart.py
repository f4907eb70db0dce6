import json
import re
import tomllib
from pathlib import Path
from typing import Any

from {{ cookiecutter.package_name }}.config import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "{{ cookiecutter.project_slug }}"


def settings(secret: bool) -> set[str]:
    return {
        f"{ENV_PREFIX}{name.upper()}"
        for name, field in Settings.model_fields.items()
        if ("Secret" in str(field.annotation)) == secret
    }


def properties(name: str) -> dict[str, Any]:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    found: dict[str, Any] = schema["properties"][name]["properties"]
    return found


def test_chart_takes_every_setting() -> None:
    assert properties("config").keys() == settings(secret=False)


def test_chart_keeps_secrets_apart() -> None:
    assert properties("secrets").keys() == settings(secret=True)


def test_chart_is_of_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = (CHART / "Chart.yaml").read_text("utf-8")

    assert re.findall(r'^appVersion: "(.+)"$', chart, re.M) == [project["version"]]
