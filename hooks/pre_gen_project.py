"""Refuses answers that would break the project, before anything is written.

Runs on every creation and every update, offline, with the standard library only. A
refusal is one sentence on standard error that names the answer.
"""

import json
import keyword
import re
import sys

# Free text; every other answer has a stricter form.
FREE_TEXT = ("project_name", "project_description")
MAX_LENGTH = 100
# Control characters, line breaks, surrogates, marks that reorder text, and the two
# characters that YAML does not allow.
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

FORMS = {
    "project_slug": (
        r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
        "must be lower-case letters, digits and single hyphens, and begin with a letter",
    ),
    "package_name": (
        r"[a-z][a-z0-9_]*",
        "must be lower-case letters, digits and underscores, and begin with a letter",
    ),
    "author": (r"[^<>]+", "must not contain < or >, which enclose the e-mail address"),
    "email": (r"[^\s@<>\"\\,]+@[^\s@<>\"\\,]+", "must look like name@example.com"),
    "version": (
        r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?",
        "must be a version such as 0.1.0",
    ),
    "repo_url": (r"https?://[^\s\"<>\\]+", "must be an http or https URL"),
    "copyright_year": (r"[0-9]{4}", "must be a year of four digits"),
}
MAX_NAME = {
    # The longest release name that Helm accepts; Kubernetes takes 63 characters.
    "project_slug": 53,
    # With longer ones, import lines in the generated modules would be too long.
    "package_name": 40,
}

# Modules and distributions in the project's environment: a project of that name would
# shadow them, or depend on itself.
DEPENDENCIES = frozenset(
    """
    a11y_pygments accessible_pygments aiohappyeyeballs aiohttp aiosignal aiosqlite alabaster
    alembic annotated_doc annotated_types anyio ast_serialize asyncpg attr attrs babel
    beautifulsoup4 bs4 certifi charset_normalizer click coverage docutils dotenv fakeredis fastapi
    frozenlist furo greenlet gunicorn h11 httpcore2 httptools httpx2 idna imagesize iniconfig
    jinja2 librt mako markdown_it markdown_it_py markupsafe mdit_py_plugins mdurl multidict mypy
    mypy_extensions mypyc myst_parser opentelemetry opentelemetry_api packaging pathspec pluggy
    poetry_core prometheus_client propcache py pydantic pydantic_core pydantic_settings pygments
    pytest python_dotenv pyyaml redis requests roman_numerals ruff snowballstemmer sortedcontainers
    soupsieve sphinx sphinx_basic_ng sphinxcontrib sphinxcontrib_applehelp sphinxcontrib_devhelp
    sphinxcontrib_htmlhelp sphinxcontrib_jsmath sphinxcontrib_qthelp sphinxcontrib_serializinghtml
    sqlalchemy starlette truststore types_gunicorn typing_extensions typing_inspection urllib3
    uvicorn uvicorn_worker uvloop yaml yarl
    """.split()  # noqa: SIM905
)
# Commands that the project's verbs run: a project of that name would replace them.
COMMANDS = frozenset({"activate", "pip", "poetry", "python", "python3", "sphinx_build", "uv"})
# Files and folders next to the package, in lower case: some file systems ignore case.
BESIDE = frozenset(
    {
        "build",
        "charts",
        "dist",
        "dockerfile",
        "docs",
        "lib",
        "license",
        "makefile",
        "scripts",
        "tests",
        "vagrantfile",
    }
)


def main() -> None:
    """Exit with the first refusal, if there is one."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    for refusal in refusals(answers):
        sys.exit(refusal)


def refusals(answers):
    """Yield one sentence for each answer that cannot be used."""
    for key in (*FREE_TEXT, *FORMS):
        text = answers[key]
        flaw = flaw_of_text(text) or flaw_of_form(key, text) or flaw_of_name(key, text)
        if flaw:
            yield f"`{key}` {flaw}."


def flaw_of_text(text):
    """Return why text would not stay intact in every file, or None."""
    if not text.strip():
        return "must not be empty"
    if text != text.strip():
        return "must not begin or end with white space"
    if len(text) > MAX_LENGTH:
        return f"must not be longer than {MAX_LENGTH} characters"
    if any("{" + mark in text for mark in ("{", "%", "#")):
        return "must not contain { followed by {, % or #: cookiecutter would evaluate it"
    unfit = UNFIT.search(text)
    if unfit:
        return f"must not contain the character U+{ord(unfit.group()):04X}"
    return None


def flaw_of_form(key, text):
    """Return why text is not an answer to ``key``, or None."""
    pattern, rule = FORMS.get(key, (".*", ""))
    if not re.fullmatch(pattern, text):
        return f"is `{text}` and {rule}"
    return None


def flaw_of_name(key, text):
    """Return why a name cannot be the name of a package, or None."""
    if key not in MAX_NAME:
        return None
    name = text.replace("-", "_")
    if len(name) > MAX_NAME[key]:
        return f"must not be longer than {MAX_NAME[key]} characters"
    for names, what in (
        ((*keyword.kwlist, *keyword.softkwlist), "a Python keyword"),
        ({*sys.stdlib_module_names, "test"}, "a module of the standard library"),
        (DEPENDENCIES, "a dependency of the project"),
        (COMMANDS, "a command that the project needs"),
        (BESIDE, "a file or folder of the project"),
    ):
        if name in names:
            return f"is `{text}`, which is {what}"
    return None


if __name__ == "__main__":
    main()
