"""The built documentation in a real browser: narrow and wide, light and dark."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support import Project, run

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# What is cut off on the right, or makes the whole page scroll there; what scrolls by
# itself, such as code and wide tables, is fine.
STICKING_OUT = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => element && (
    getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
  return [...document.querySelectorAll("article *, footer *")].filter((element) =>
    element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement)
  ).map((element) => element.outerHTML).concat(
    document.documentElement.scrollWidth > width ? ["the page"] : []);
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing about it."""

    def log_message(self, *_arguments: object) -> None: ...


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder; return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        # Its sandbox refuses root, as which the tests run in containers.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The documentation of this repository, or of a project."""
    if request.param == "ours":
        ours: Path = request.getfixturevalue("built")
        return ours
    full: Project = request.getfixturevalue("full")
    folder = tmp_path / "site"
    run(full.python, "-m", "sphinx", "-W", "-q", full.path / "docs", folder, cwd=full.path)
    return folder


@contextmanager
def opened(browser: Browser, width: int, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    """Open a window; whatever it complains of is a failure."""
    complaints: list[Any] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda it: complaints.append(it.text) if it.type == "error" else None)
    page.on("pageerror", lambda it: complaints.append(it))
    # What the next page interrupts has not failed.
    page.on(
        "requestfailed",
        lambda it: None if "ABORTED" in (it.failure or "") else complaints.append(it.url),
    )
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize("site", ["ours", "project"], indirect=True)
def test_documentation_is_read_on_every_screen(browser: Browser, site: Path) -> None:
    [settings] = site.rglob("settings.html")
    names = ["index.html", settings.relative_to(site).as_posix(), "search.html?q=sentinel"]
    with serving(site) as url:
        for width, scheme, name in product(WIDTHS, SCHEMES, names):
            with opened(browser, width, scheme) as page:
                page.goto(url + name)
                page.wait_for_load_state("networkidle")
                assert page.evaluate(STICKING_OUT) == [], (width, scheme, name)
                if "search" in name:
                    page.locator("#search-results li a").first.click()
                    page.wait_for_load_state()
                    assert "sentinel" in page.locator("article").inner_text().lower()


@pytest.mark.parametrize("site", ["ours", "project"], indirect=True)
def test_no_page_is_wider_than_a_telephone(browser: Browser, site: Path) -> None:
    with serving(site) as url, opened(browser, min(WIDTHS), "dark") as page:
        for file in site.rglob("*.html"):
            page.goto(url + file.relative_to(site).as_posix())
            assert page.evaluate(STICKING_OUT) == [], file
