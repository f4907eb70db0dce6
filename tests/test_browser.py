"""The built documentation in a real browser: narrow and wide, light and dark."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page
from support import ROOT, Project, run

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Elements that overflow on the right, unless they scroll by themselves, as code and wide
# tables do. The theme hides that a page is too wide by scrolling the whole content.
OVERFLOWING = """() => {
  const content = document.querySelector(".content");
  const edge = content.getBoundingClientRect().right;
  const scrolls = (element) => element !== content && (
    /auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  return [...content.querySelectorAll("*")].filter((element) =>
    element.getBoundingClientRect().right > edge + 1 && !scrolls(element)
  ).map((element) => element.outerHTML).concat(edge > innerWidth ? ["the page"] : []);
}"""
AXE = ROOT / ".tools/npm/node_modules/axe-core/axe.min.js"
# Accessibility violations in the text; the rest of a page, and lists of pages, come from
# the theme and Sphinx. Current browsers make scrollable elements focusable by keyboard.
BARRIERS = """async () => {
  const text = {include: "article", exclude: ".toctree-wrapper"};
  const rules = {"scrollable-region-focusable": {enabled: false}};
  return (await axe.run(text, {rules})).violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .flatMap((violation) => violation.nodes.map((node) => violation.id + ": " + node.html));
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, *_arguments: object) -> None: ...


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder; return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation of this repository, or of a project."""
    if request.param == "ours":
        ours: Path = request.getfixturevalue("built")
        return ours
    full: Project = request.getfixturevalue("full")
    folder = tmp_path_factory.mktemp("site")
    run(full.python, "-m", "sphinx", "-W", "-q", full.path / "docs", folder, cwd=full.path)
    return folder


def pages(site: Path) -> list[str]:
    """Return the names of all pages except Sphinx's indices, to which no page links."""
    found = {file.relative_to(site).as_posix() for file in site.rglob("*.html")}
    return sorted(found - {"genindex.html", "py-modindex.html"})


@contextmanager
def opened(browser: Browser, width: int, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    """Open a window; any error in it is a failure."""
    complaints: list[Any] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda it: complaints.append(it.text) if it.type == "error" else None)
    page.on("pageerror", lambda it: complaints.append(it))
    # Requests aborted by navigating to the next page are not failures.
    page.on(
        "requestfailed",
        lambda it: None if "ABORTED" in (it.failure or "") else complaints.append(it.url),
    )
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize("site", ["ours", "project"], indirect=True)
def test_documentation_is_readable_on_every_screen(browser: Browser, site: Path) -> None:
    [settings] = site.rglob("settings.html")
    names = ["index.html", settings.relative_to(site).as_posix(), "search.html?q=sentinel"]
    with serving(site) as url:
        for width, scheme, name in product(WIDTHS, SCHEMES, names):
            with opened(browser, width, scheme) as page:
                page.goto(url + name)
                page.wait_for_load_state("networkidle")
                assert page.evaluate(OVERFLOWING) == [], (width, scheme, name)
                if "search" in name:
                    page.locator("#search-results li a").first.click()
                    page.wait_for_url(lambda url: "search" not in url)
                    assert "sentinel" in page.locator("article").inner_text().lower()


@pytest.mark.parametrize("site", ["ours", "project"], indirect=True)
def test_no_page_is_wider_than_a_phone(browser: Browser, site: Path) -> None:
    with serving(site) as url, opened(browser, min(WIDTHS), "dark") as page:
        for name in pages(site):
            page.goto(url + name)
            assert page.evaluate(OVERFLOWING) == [], name


@pytest.mark.parametrize("site", ["ours", "project"], indirect=True)
def test_every_page_is_accessible(browser: Browser, site: Path) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core: bash tests/npm.sh")
    with serving(site) as url:
        for scheme in SCHEMES:
            with opened(browser, max(WIDTHS), scheme) as page:
                # The markup of pages that Sphinx generates from docstrings is the theme's.
                for name in (it for it in pages(site) if not it.startswith("api/")):
                    page.goto(url + name)
                    page.add_script_tag(path=AXE)
                    assert page.evaluate(BARRIERS) == [], (scheme, name)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("site", ["ours"], indirect=True)
def test_reader_chooses_the_other_colours(
    browser: Browser, site: Path, scheme: Literal["light", "dark"]
) -> None:
    colour = "() => getComputedStyle(document.body).backgroundColor"
    with serving(site) as url, opened(browser, max(WIDTHS), scheme) as page:
        page.goto(url)
        preferred = page.evaluate(colour)
        page.locator(".theme-toggle:visible").click()
        chosen = page.evaluate(colour)
        assert chosen != preferred
        page.goto(url + "commands.html")
        assert page.evaluate(colour) == chosen
