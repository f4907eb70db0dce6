import re
from pathlib import Path

from {{ cookiecutter.package_name }}.config import ENV_PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def shown(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if str(default) not in {"", "()"} else "empty"


def test_page_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", PAGE.read_text("utf-8"), re.M)

    settings = Settings.model_construct()
    expected = {
        f"{ENV_PREFIX}{name.upper()}": shown(getattr(settings, name))
        for name in Settings.model_fields
    }
    expected["FASTAPI_VERSION"] = "the installed version"

    assert dict(rows) == expected
