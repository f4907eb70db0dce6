"""Refuses answers that would make a broken project, before anything is written.

Runs at every creation and every update: offline, with the standard library only. The
words of a refusal go to standard error as one sentence that names the answer.
"""

import json
import keyword
import re
import sys
import unicodedata

# Text that people may type freely; every other answer has a narrower form.
FREE_TEXT = ("project_name", "project_description", "author")
MAX_LENGTH = 100

FORMS = {
    "project_slug": (
        r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
        "must be lower-case letters, digits and single hyphens, and begin with a letter",
    ),
    "package_name": (
        r"[a-z][a-z0-9_]*",
        "must be lower-case letters, digits and underscores, and begin with a letter",
    ),
    "email": (r"[^\s@<>\"\\,]+@[^\s@<>\"\\,]+", "must look like name@example.com"),
    "version": (
        r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?",
        "must be a version such as 0.1.0",
    ),
    "repo_url": (r"https?://[^\s\"<>\\]+", "must be an http or https URL"),
    "copyright_year": (r"\d{4}", "must be a year of four digits"),
}
MAX_NAME = {
    # The longest release name that Helm accepts; Kubernetes takes 63 characters.
    "project_slug": 53,
    # Longer ones would need other line breaks in the modules that import the package.
    "package_name": 40,
}

# Packages that the project depends on: one of its own by that name would hide them.
DEPENDENCIES = frozenset(
    {
        "aiohttp",
        "annotated_doc",
        "annotated_types",
        "anyio",
        "attr",
        "attrs",
        "black",
        "click",
        "coverage",
        "fastapi",
        "furo",
        "gunicorn",
        "h11",
        "httpcore",
        "httpcore2",
        "httptools",
        "httpx",
        "httpx2",
        "idna",
        "iniconfig",
        "jinja2",
        "multidict",
        "mypy",
        "myst_parser",
        "packaging",
        "pip",
        "pluggy",
        "poetry",
        "propcache",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
        "pygments",
        "pytest",
        "redis",
        "ruff",
        "setuptools",
        "sphinx",
        "starlette",
        "typing_extensions",
        "typing_inspection",
        "uv",
        "uvicorn",
        "uvicorn_worker",
        "uvloop",
        "wheel",
        "yarl",
    }
)
# Folders that stand beside the package.
FOLDERS = frozenset({"tests", "docs", "scripts", "charts", "lib", "dist", "build", "site"})


def main() -> None:
    """Exit with the first refusal, if there is one."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    for refusal in refusals(answers):
        sys.exit(refusal)


def refusals(answers):
    """Yield one sentence for each answer that cannot be used."""
    for key in FREE_TEXT:
        flaw = flaw_of_text(answers[key])
        if flaw:
            yield f"`{key}` {flaw}."
    if re.search("[<>]", answers["author"]):
        yield "`author` must not hold < or >, which enclose the e-mail address."
    for key, (pattern, rule) in FORMS.items():
        if len(answers[key]) > MAX_LENGTH:
            yield f"`{key}` must not be longer than {MAX_LENGTH} characters."
        elif not re.fullmatch(pattern, answers[key], re.ASCII):
            yield f"`{key}` is `{printable(answers[key])}` and {rule}."
    for key, limit in MAX_NAME.items():
        if len(answers[key]) > limit:
            yield f"`{key}` must not be longer than {limit} characters."
        flaw = flaw_of_name(answers[key].replace("-", "_"))
        if flaw:
            yield f"`{key}` is `{answers[key]}`, which {flaw}."


def flaw_of_text(text):
    """Say what keeps free text from arriving intact in every file, or return None."""
    if len(text) > MAX_LENGTH:
        return f"must not be longer than {MAX_LENGTH} characters"
    if not text.strip():
        return "must not be empty"
    if text != text.strip():
        return "must not begin or end with white space"
    if any("{" + mark in text for mark in ("{", "%", "#")):
        return "must not hold a brace before a brace, % or #: cookiecutter would evaluate it"
    for character in text:
        # Control characters, line breaks, surrogates, code points without a meaning,
        # and the marks that reorder what is read (allowed: joiners, as in emoji).
        category = unicodedata.category(character)
        if category in {"Cc", "Cn", "Co", "Cs", "Zl", "Zp"} or (
            category == "Cf" and character not in "\u200c\u200d"
        ):
            return f"must not hold the character U+{ord(character):04X}"
    return None


def flaw_of_name(name):
    """Say what keeps a name from being the name of a package, or return None."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a keyword of Python"
    if name in sys.stdlib_module_names:
        return "is a module of the standard library"
    if name in DEPENDENCIES:
        return "is a package that the project depends on"
    if name in FOLDERS:
        return "is a folder of the project"
    return None


def printable(text):
    """Make text fit for a sentence on a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    main()
