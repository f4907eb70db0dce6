"""The worked example of the documentation, typed as it is written."""

import os
import re
from collections.abc import Iterator

import pytest
from conftest import MakeProject
from support import MVC, ROOT, run, tree

PAGE = ROOT / "docs/writing-generators.md"


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yield language, caption and content of every block of code on the page."""
    fence = r"^```(?:\{code-block\} )?(\w+)\n(?::caption: ([^\n]+)\n\n)?(.*?)^```$"
    for found in re.finditer(fence, PAGE.read_text("utf-8"), re.M | re.S):
        yield found[1], found[2] or "", found[3]


@pytest.mark.slow
def test_page_does_what_it_says(project: MakeProject) -> None:
    created = project()
    path = os.pathsep.join([str(MVC.parent), os.environ["PATH"]])
    printed, seen = "", []
    for language, caption, content in blocks():
        seen.append(language)
        if caption:
            file = created.path / caption
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")
        elif language == "shell":
            printed = run("bash", "-ec", content, cwd=created.path, PATH=path)
        else:
            assert printed == content
    assert seen.count("shell") == 4
    assert seen.count("text") == 2

    before = tree(created.path / "lib")
    [command] = re.findall(r"^`(mvc destroy .*)` takes it back", PAGE.read_text("utf-8"), re.M)
    run("bash", "-c", command, cwd=created.path, PATH=path)
    router = (created.package / "app/router.py").read_text("utf-8")
    assert "webhook" not in router
    assert not (created.package / "app/controllers/github_webhook.py").exists()
    assert tree(created.path / "lib") == before
