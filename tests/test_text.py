"""Text answers arrive intact in every file that contains them, or are refused."""

import re
import tomllib
import unicodedata
from collections.abc import Callable
from email import message_from_string
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from conftest import Bake, MakeProject
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst_parser.parsers.docutils_ import Parser
from rendering import templates
from support import QUESTIONS, ROOT, load, uv

pytestmark = pytest.mark.slow

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
PRE = load(ROOT / "hooks/pre_gen_project.py")
FIELDS = ("project_name", "project_description", "author")

# Texts with a special meaning in TOML, Markdown, MyST, HTML, a shell, or writing systems.
HOSTILE = [
    *("'", '"', '"""', "'''", """it's "quoted" """.strip(), "\\", "\\\\", 'a\\"', "\\n \\u0041"),
    *("#", "# x", "x #", "####### x", "a: b", ": x", "=", "===", "---", "- x", "+ x", "* x"),
    *("+++", "***", "___", "1. x", "1) x", "12.", "0", "> x", "| a |", "| a | b", "|", "||"),
    *("*a*", "**a**", "_a_", "__a__", "`a`", "```", "``` x", "~~~", "~~x~~", "[x](y)", "[x]: y"),
    *("![x](y)", "[^1]", "[x][y]", "$", "$x$", "$$x$$", "%", "% comment", "%s %(x)s", "&", "&amp;"),
    *("&#65;", "&lt;b&gt;", "<b>", "</b>", "<!-- -->", "<script>", "<?x?>", "<https://x.de>"),
    *("https://x.de", "www.x.de", "a@x.de", "@user", "#1", ":smile:", "(label)=", "{x}", "{x}`y`"),
    *("{", "}", "}}", "%}", "#}", "{ { x } }", "${x}", "$(x)", "$HOME", ":::", "```{note}", "!x"),
    *("a  b", "a\u00a0b", "a -- b ...", "^x^", "~", "~x", "/", "x,", ",", ";", "?", "null", "true"),
    *("Ångström Œuvre ßtraße", "e\u0301", "Z\u0351\u036b\u0343a\u0323lgo", "Ελλάδα", "Україна"),
    *("你好世界", "𠮷野家", "한국어", "हिन्दी", "ไทย", "שלום עולם", "مرحبا بالعالم", "ن\u200cی"),
    # A family, a pirate flag, flags of a country and of a part of one, a skin tone, and an
    # emoji that is newer than some of the Pythons that run the hook.
    *("🚀", "👩\u200d👩\u200d👧", "🏴\u200d☠\ufe0f", "🇺🇦", "👋🏽", "\U0001fae8"),
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    # Directional marks, a soft hyphen, a private and a replacement character.
    *("a\u200eb\u200fc", "so\u00adft", "\ue000", "\ufffd", "x" * 100),
]

COMMONMARK = MarkdownIt("commonmark")
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"]).use(dollarmath_plugin)

# As many special characters as fit into 100 characters each.
EVERYTHING = {
    "project_name": (
        "# \"A\" 'b' \\n\\ <b> &amp; &#65; *c* _d_ `e` [f](g) ~~h~~ |$i$ {j} %k @l :m: (n)= {o}`p`"
        " é 🚀 🇺🇦 שלום 你好"
    ),
    "project_description": (
        "1. \"A\" 'b' \\u0041\\ <!-- c --> &lt; **d** __e__ ```f``` ![g](h) | $(i) ${j} %} }} #"
        " é 👩\u200d👩\u200d👧 مرحبا -"
    ),
    "author": (
        "- \"A\" 'b' \\n\\ & &amp; *c* _d_ `e` [f](g) ~~h~~ | $i {j} %k @l, :m; (n)= / + #o ^p? !"
        " é 🚀 🇺🇦 שלום 你好"
    ),
}


def read_manifest(text: str) -> dict[str, str]:
    project = tomllib.loads(text)["project"]
    return {
        "project_description": project["description"],
        "author": project["authors"][0]["name"],
    }


def read_chart(text: str) -> dict[str, str]:
    chart = yaml.safe_load(text)
    return {
        "project_description": chart["description"],
        "author": chart["maintainers"][0]["name"],
    }


def read_page(text: str) -> dict[str, str]:
    (heading, name), (paragraph, description) = blocks(text)[:2]
    assert (heading, paragraph) == ("h1", "p")
    return {"project_name": name, "project_description": description}


def read_license(text: str) -> dict[str, str]:
    [author] = re.findall(r"^ *Copyright (?:\([cC]\) )?1977,? (.+)$", text, re.M)
    return {"author": author}


# A parser for each file that contains text answers.
READERS: dict[str, Callable[[str], dict[str, str]]] = {
    "LICENSE": read_license,
    "README.md": read_page,
    "charts/galactic-empire/Chart.yaml": read_chart,
    "docs/index.md": read_page,
    "pyproject.toml": read_manifest,
}


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the tag and the text of each block, on which all dialects must agree."""
    # The rest contains no text answers, but directives that only Sphinx knows.
    start = re.split(r"^(?:##|```\{toctree\}$)", text, maxsplit=1, flags=re.M)[0]
    document = publish_doctree(start, parser=Parser(), settings_overrides={"halt_level": 2})
    myst = [
        ("h1" if isinstance(node, nodes.title) else "p", node.astext())
        for node in document.findall(nodes.TextElement)
        if isinstance(node, nodes.title | nodes.paragraph)
    ]
    for dialect in COMMONMARK, GITHUB:
        assert myst == [
            (block.tag, "".join(map(visible, inline.children or [])))
            for block, inline in pairwise(dialect.parse(start))
            if inline.type == "inline"
        ]
    return myst


def visible(part: Token) -> str:
    return part.content if part.type == "text" else f"<{part.type}>"


def assert_intact(files: dict[str, str], answers: dict[str, Any]) -> None:
    """Parse the files, and compare their texts with the answers."""
    for path, text in files.items():
        found = READERS[path](text)
        assert found == {key: answers[key] for key in found}, path


Render = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def render(bake: Bake) -> Render:
    """Render the files with text answers as cookiecutter does, but faster."""
    answers = bake(copyright_year="1977").answers
    files = templates(answers)

    def render(**typed: str) -> dict[str, str]:
        context = {**answers, **typed}
        return {path: files[path].render(cookiecutter=context) for path in READERS}

    return render


def test_every_file_with_text_answers_has_a_parser(bake: Bake) -> None:
    typed = {key: f"Zyx {key.replace('_', ' ')}" for key in FIELDS}
    files = bake(**typed, project_slug="galactic-empire", copyright_year="1977").files()
    texts = {path: file.read_text("utf-8") for path, file in files.items()}

    carried = {
        path: {key for key, mark in typed.items() if mark in text}
        for path, text in texts.items()
        if "Zyx" in text
    }

    assert carried == {path: READERS[path](texts[path]).keys() for path in READERS}


def test_hostile_text_arrives_intact(bake: Bake, render: Render) -> None:
    for text in HOSTILE:
        typed = dict.fromkeys(FIELDS, text)
        if "<" in text or ">" in text:
            [sentence] = PRE.refusals({**bake().answers, **typed})
            assert sentence.startswith("`author` "), text
            del typed["author"]

        assert not [*PRE.refusals({**bake().answers, **typed})], text
        assert_intact(render(**typed), {**bake().answers, **typed})


def test_every_license_contains_the_author(bake: Bake, render: Render) -> None:
    for license in QUESTIONS["license"]:
        for author in HOSTILE if license != "none" else ():
            text = render(author=author, license=license)["LICENSE"]
            assert read_license(text) == {"author": author}, license


def packs() -> list[str]:
    """Join the hostile texts into as few as the maximum length allows, to bake less often."""
    packed = [""]
    for text in HOSTILE:
        joined = f"{packed[-1]} {text}".strip()
        if len(joined) > PRE.MAX_LENGTH:
            packed.append(text)
        else:
            packed[-1] = joined
    return packed


@pytest.mark.parametrize("text", packs())
def test_hostile_text_arrives_intact_through_a_bake(bake: Bake, text: str) -> None:
    typed = dict.fromkeys(FIELDS, text)
    typed["author"] = re.sub("[<>]", "", text).strip()

    baked = bake(**typed, project_slug="galactic-empire", copyright_year="1977")

    assert_intact({path: (baked.path / path).read_text("utf-8") for path in READERS}, typed)


def may_be_refused(key: str, text: str) -> bool:
    """Return whether a text should be refused, independently of the hook's code."""
    embeddings = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return (
        not 0 < len(text.strip()) == len(text) <= 100
        or any(opener in text for opener in ("{{", "{%", "{#"))
        or any(unicodedata.category(mark) in {"Cc", "Cs", "Zl", "Zp"} for mark in text)
        or any(unicodedata.bidirectional(mark) in embeddings for mark in text)
        or not {*text}.isdisjoint("\ufffe\uffff")
        or (key == "author" and not {*text}.isdisjoint("<>"))
    )


parts = st.sampled_from(HOSTILE) | st.sampled_from("\\`*_{}[]<>()#+-.!|~&%$@:;=\"'^/?, 1a\t\n")
texts = st.lists(parts | st.characters(exclude_categories=()), max_size=30).map("".join)


@pytest.mark.parametrize("key", FIELDS)
@settings(derandomize=True, deadline=None, max_examples=80)
@given(text=texts)
def test_any_text_arrives_intact_or_is_refused(
    bake: Bake, render: Render, key: str, text: str
) -> None:
    answers = {**bake().answers, key: text}

    sentences = [*PRE.refusals(answers)]

    if may_be_refused(key, text):
        [sentence] = sentences
        assert re.fullmatch(rf"`{key}` .+\.", sentence)
    else:
        assert not sentences
        assert_intact(render(**{key: text}), answers)


class Heading(HTMLParser):
    """Collects the text of the first heading of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        # The permalink of the heading is not part of its text.
        self.inside = tag == "h1" or (self.inside and tag != "a")

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def test_project_with_every_hostile_text_passes_its_own_verbs(
    project: MakeProject, tmp_path: Path
) -> None:
    # No file of these features contains such a text.
    features = {"database": False, "redis": False, "aiohttp": False}
    created = project(**EVERYTHING, **features, project_slug="x", copyright_year="1977")

    created.make("metrics", "mypy", "coverage", "docs")
    uv("build", "--quiet", "--wheel", "--out-dir", tmp_path, cwd=created.path)

    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        metadata = message_from_string(archive.read("x-0.1.0.dist-info/METADATA").decode("utf-8"))
    assert metadata["Summary"] == EVERYTHING["project_description"]
    assert metadata["Author"] == EVERYTHING["author"]
    assert_intact({"README.md": str(metadata.get_payload())}, EVERYTHING)
    page = (created.path / "site/index.html").read_text("utf-8")
    assert Heading(page).text == EVERYTHING["project_name"]
