"""The documentation and the code name the same things."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
from bs4 import BeautifulSoup, Tag
from conftest import Bake, Mvc
from markdown_it import MarkdownIt
from support import FEATURES, QUESTIONS, ROOT, Baked, run

pytestmark = pytest.mark.slow

Site = Callable[[str], dict[str, Tag]]

OPTION = r"--?[a-zA-Z][\w-]*"
# The questions that affect what a project contains, and a non-default answer to each.
DECIDING = {key: default for key, default in QUESTIONS.items() if not isinstance(default, str)}
OTHERS = {
    key: default[-1] if isinstance(default, list) else not default
    for key, default in DECIDING.items()
}


@pytest.fixture(scope="module")
def site(built: Path) -> Site:
    """Return the sections of a page of the built documentation, by their titles."""

    def sections(page: str) -> dict[str, Tag]:
        soup = BeautifulSoup((built / f"{page}.html").read_text("utf-8"), "html.parser")
        # The first text of a section is its title.
        return {next(each.stripped_strings): each for each in soup.select("article section")}

    return sections


@pytest.fixture(scope="module")
def full(bake: Bake) -> Baked:
    """The project with every feature, which is only read."""
    return bake()


@pytest.fixture(scope="module")
def pages(full: Baked) -> dict[str, str]:
    """All Markdown pages by path; those of a project are below `project/`."""
    own = {
        page.relative_to(ROOT).as_posix(): page
        for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
    }
    del own["CHANGELOG.md"]  # It also mentions things that no longer exist.
    generated = {f"project/{path}": page for path, page in full.files().items()}
    files = {path: page for path, page in (own | generated).items() if page.suffix == ".md"}
    texts = {path: page.read_text("utf-8") for path, page in files.items()}
    # The first column is about fastapi-mvc; the setting belongs to an example.
    coming = "docs/coming-from-fastapi-mvc.md"
    texts[coming] = re.sub(r"^\|[^|]*|FASTAPI_ATLAS_URL", "", texts[coming], flags=re.M)
    tutorial = "docs/tutorial.md"  # The reader adds these settings.
    texts[tutorial] = re.sub("FASTAPI_(API_KEY|PRICES_URL)", "", texts[tutorial])
    return texts


def text(element: Tag | None) -> str:
    """Return the text of an element as one line."""
    return " ".join(element.get_text().split()) if element else ""


def table(section: Tag) -> list[tuple[str, ...]]:
    """Return the rows of the table in a section."""
    rows = section.select(":scope > .table-wrapper > table > tbody > tr")
    return [tuple(map(text, row.select("td"))) for row in rows]


def listed(printed: str, title: str) -> list[tuple[str, ...]]:
    """Return the two columns below a title in the output of `--help`, without backticks."""
    printed = printed.replace("`", "")
    block = re.search(rf"^( *){title}:\n((?:\1  .*\n?)*)", printed, re.M)
    entries = re.split(rf"^{block[1]}  (?=\S)", block[2], flags=re.M)[1:] if block else []
    rows = (re.split(r"\s{2,}", entry, maxsplit=1) for entry in entries)
    return [tuple(" ".join(cell.split()) for cell in row) for row in rows]


def code(page: str) -> Iterator[str]:
    """Yield the code on a page: spans, and all blocks except diffs."""
    for token in MarkdownIt().enable("table").parse(page):
        for each in (token, *(token.children or ())):
            if each.type in ("code_inline", "fence") and each.info != "{code-block} diff":
                yield each.content


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each shell command in the code on a page."""
    for block in code(page):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r" && | \| |; ", re.sub(r"(^|\s)#.*", "", line)):
                yield command.removeprefix("$ ").split()


def options(words: Iterable[str]) -> set[str]:
    """Return the options among words; ``--one/--other`` are two."""
    parts = (part.split("=")[0].strip(",") for word in words for part in word.split("/"))
    return {part for part in parts if re.fullmatch(OPTION, part)}


def verbs(folder: Path) -> list[tuple[str, ...]]:
    """Return the verbs of a Makefile, and their descriptions."""
    printed = run("make", "--silent", "help", cwd=folder).replace("`", "")
    return [tuple(re.split(r" +", line, maxsplit=1)) for line in printed.splitlines()]


def variables(page: str, prefix: str) -> set[str]:
    """Return the variables that a text mentions."""
    return set(re.findall(rf"\b{prefix}_[A-Z_]+", page))


def test_reference_equals_the_help_of_each_command(site: Site, mvc: Mvc, service: Path) -> None:
    sections = site("commands")
    names = [name for name, _ in listed(mvc("--help").stdout, "Commands")]
    generators = re.findall(r"^(\w+) .* built in ", mvc("generate").stdout, re.M)
    below = [f"{group} {name}" for group in ("generate", "destroy") for name in generators]
    for command in ("", *names, *below):
        printed = mvc(*command.split(), "--help").stdout
        section = sections.pop(f"mvc {command}".strip())

        assert table(section) == listed(printed, "Arguments") + listed(printed, "Options")
        assert text(section.find("pre")) == printed.splitlines()[0]
        assert text(section.find("p")) == printed.splitlines()[2].strip()

    assert names and generators
    assert sections.keys() == {"Command reference", "Exit codes", "Variables"}


def test_exit_codes_are_those_of_the_code(site: Site, pages: dict[str, str], mvc: Mvc) -> None:
    known = listed(mvc("--help").stdout, "Exit codes")
    source = "".join(file.read_text("utf-8") for file in ROOT.glob("wrapper/mvc/**/*.py"))
    given = re.findall(r"(?:exit_code = |sys\.exit\(|ACTION_REQUIRED = )(\d+)\b(?! \+)", source)
    named = re.findall(r"exit(?:s with| code(?: is)?) (\d+)", " ".join(pages.values()))

    assert table(site("commands")["Exit codes"]) == known
    assert {number for number, _ in known} == {"0", *given}
    assert {number for number, _ in known} >= set(named) > {"0"}


def test_variables_of_the_command_are_documented(site: Site, pages: dict[str, str]) -> None:
    source = "".join(file.read_text("utf-8") for file in ROOT.glob("wrapper/mvc/**/*.py"))
    known = {name for name, _ in table(site("commands")["Variables"])}

    assert known == variables(source, "MVC")
    assert known == variables(" ".join(pages.values()), "MVC")


def test_settings_are_those_of_the_code(site: Site, full: Baked, pages: dict[str, str]) -> None:
    sections = site("project/settings").values()
    known = {name for section in sections for name, *_ in table(section)}

    assert known == full.settings().keys()
    # FastAPI's own variable.
    known.add("FASTAPI_OTEL_AUTO_CONFIGURE")
    for path, page in pages.items():
        assert variables(page, "FASTAPI") <= known, path


def test_verbs_are_those_of_the_makefiles(site: Site, full: Baked, pages: dict[str, str]) -> None:
    known = {}
    for page, folder in (("contributing", ROOT), ("features", full.path)):
        makefile = (folder / "Makefile").read_text("utf-8")
        phony = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.M)).split()
        known[page] = {verb for verb, _ in verbs(folder)}

        assert known[page] == set(phony)
        rows = [(verb.removeprefix("make "), what) for verb, what in table(site(page)["Verbs"])]
        assert rows == verbs(folder)
    for path, page in pages.items():
        everywhere = set() if path.startswith("project/") else known["contributing"]
        typed = (re.findall(r"\bmake((?: [a-z][a-z-]*)+)", each) for each in code(page))
        named = " ".join(verb for each in typed for verb in each).split()
        assert set(named) <= known["features"] | everywhere, path


def test_options_on_every_page_exist(pages: dict[str, str], mvc: Mvc, service: Path) -> None:
    @cache
    def of(*command: str) -> set[str]:
        """Return the options of a command, which must exist."""
        done = mvc(*command, "--help")
        assert done.returncode == 0, done.stderr
        return options(
            word for names, *_ in listed(done.stdout, "Options") for word in names.split()
        )

    names = [name for name, *_ in listed(mvc("--help").stdout, "Commands")]
    built_in = re.findall(r"^(\w+) +(?:(\w+) +)?built in ", mvc("generate").stdout, re.M)
    generators = [word for words in built_in for word in words if word]
    every = of().union(*map(of, names), *(of("generate", name) for name in generators))
    source = (service / "galactic_empire/cli/serve.py").read_text("utf-8")
    serve = set(re.findall(rf'"({OPTION})"', source))
    for path, page in pages.items():
        for words in commands(page):
            match [word for word in words if not word.startswith("-")]:
                case ["mvc", ("generate" | "g" | "destroy" | "d") as group, name, *_]:
                    if name not in generators:
                        continue  # A generator that the reader writes.
                    known = of(group, name)
                case ["mvc", *named]:
                    known = of(*named[:1])
                case [*named] if "serve" in named:
                    words, known = words[words.index("serve") :], serve
                case _ if words and words[0].startswith("-"):
                    known = every | serve
                case _:
                    continue
            assert options(words) <= known, f"{path}: {' '.join(words)}"

    serving = {word for words in commands(pages["project/docs/serving.md"]) for word in words}
    assert {option for option in serve if option.startswith("--")} <= serving


def test_features_page_explains_each_question(pages: dict[str, str], mvc: Mvc) -> None:
    page = pages["docs/features.md"]
    # Each feature begins with the name of its answer.
    paragraphs = re.findall(r"^`(\w+)`, (.+\n(?:.+\n)*)", page, re.M)
    documented = {key: set(re.findall(r"`([^`]+)`", rest)) for key, rest in paragraphs}
    offered = {
        names.split()[0]: names for names, *_ in listed(mvc("new", "--help").stdout, "Options")
    }
    files = re.findall(r"^```\{files\} (\w+)(?: (\w+))?$", page, re.M)

    assert documented.keys() == DECIDING.keys()
    for key, default in DECIDING.items():
        names = offered[f"--{key.replace('_', '-')}"]
        assert options(names.split()) <= documented[key], key
        assert default is True or default[0] in documented[key], key
    assert {(key, value or True) for key, value in files} == FEATURES.keys()


def test_readme_lists_the_files_of_each_feature(bake: Bake, pages: dict[str, str]) -> None:
    part = pages["README.md"].partition("## What a project has\n")[2].partition("\n## ")[0]
    part = part.replace("<package>", "galactic_empire").replace("<slug>", "galactic-empire")
    full, documented = bake(), set()
    least = bake(**{key: other for key, other in OTHERS.items() if other is False})
    for feature, files in re.findall(r"^\| (.*) \| (.*) \|$", part, re.M)[2:]:
        keys = {name.strip("-").replace("-", "_") for name in re.findall(r"--[\w-]+", feature)}
        # Files of a feature are missing without it; other files exist without any feature.
        without = [bake(**{key: OTHERS[key]}) for key in keys]
        first, *more = re.findall(r"`([^` ]+)`", files)
        for path in (first, *more):
            there = holds(full, path, first)
            assert there or "package_manager" in keys, path
            assert all(holds(other, path, first) != there for other in without), path
            assert keys or holds(least, path, first), path
        documented |= keys

    assert documented == DECIDING.keys()


def holds(project: Baked, path: str, first: str) -> bool:
    """Return whether a path exists, relative to the root or to a parent of its row's first."""
    return any((project.path / folder / path).exists() for folder in PurePosixPath(first).parents)
