"""Routers in the styles of public projects: each is edited, or refused with instructions.

A module in `fixtures/routers/` begins with the registration that fits it, and either marks
where its two statements belong or gives the reason why it is refused.
"""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from mvc.errors import MvcError
from mvc.generating import apply
from mvc.generating.render import File, Rendering
from mvc.generating.router import Registration
from support import MVC, ROOT, run, tree

STYLES = sorted((ROOT / "tests/fixtures/routers").glob("*.py"))
ROUTER = "app/router.py"
RUFF = MVC.with_name("ruff")


class Style(NamedTuple):
    """A module, what to register in it, and the expected result or refusal."""

    source: str
    rendering: Rendering
    expected: str
    refusal: str


def read(path: Path) -> Style:
    text = path.read_text("utf-8")
    given = dict(re.findall(r"^# (import|call|refused): (.*)\n", text, re.M))
    registration = Registration(ROUTER, given["import"], given["call"])
    controller = File(PurePosixPath("app/market.py"), b"router = 1\n", executable=False)
    return Style(
        re.sub(r"^[ \t]*# (import|call) here\n", "", text, flags=re.M),
        Rendering([controller], registration),
        re.sub(r"# (import|call) here$", lambda found: given[found[1]], text, flags=re.M),
        given.get("refused", ""),
    )


@pytest.fixture(params=STYLES, ids=lambda path: path.stem)
def style(request: pytest.FixtureRequest, tmp_path: Path) -> Style:
    found = read(request.param)
    (tmp_path / "app").mkdir()
    (tmp_path / ROUTER).write_text(found.source, "utf-8")
    return found


def findings(project: Path) -> set[str]:
    """Return the linter's findings in the router, without line numbers."""
    command = (
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        "E9,F",
        "--output-format",
        "concise",
    )
    printed = run(RUFF, *command, "--exit-zero", ROUTER, cwd=project)
    return set(re.findall(r"\d+:\d+: (.*)", printed))


def test_twice_generated_and_destroyed_is_the_identity(tmp_path: Path, style: Style) -> None:
    before, found = tree(tmp_path), findings(tmp_path)

    def carry_out(step: object) -> None:
        assert callable(step)
        step(tmp_path, style.rendering, pretend=False, force=False)

    if style.refusal:
        with pytest.raises(MvcError) as refused:
            carry_out(apply.generate)
        wanted = style.rendering.registration
        assert wanted
        message, *lines = str(refused.value).splitlines()
        left_alone = f"`{ROUTER}` {style.refusal}, and was not changed. Add these lines yourself:"
        assert (message, lines) == (left_alone, [f"  {wanted.importing}", f"  {wanted.call}"])
        assert (tmp_path / ROUTER).read_text("utf-8") == style.source
        assert (tmp_path / "app/market.py").exists()
        return

    carry_out(apply.generate)
    generated = tree(tmp_path)
    assert (tmp_path / ROUTER).read_text("utf-8") == style.expected
    assert findings(tmp_path) == found

    carry_out(apply.generate)
    assert tree(tmp_path) == generated

    carry_out(apply.destroy)
    assert tree(tmp_path) == before


def test_there_are_thirty_styles_that_are_edited() -> None:
    assert sum(not read(path).refusal for path in STYLES) >= 30
