"""Where the template comes from, and under which name a project remembers it."""

import json
import re
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mvc import engine
from mvc.errors import MvcError
from mvc.git import git

DISTRIBUTION = "fastapi-mvc-template"
# The repository as it was when the wheel was built.
BUNDLE = Path(__file__).with_name("template.bundle")


@dataclass(frozen=True)
class Template:
    """A git repository: what to clone here, and what to write down."""

    source: str
    url: str


@dataclass(frozen=True)
class Revision:
    """A commit, by its full hash, and the name that it was asked for by, if any."""

    commit: str
    name: str | None


def find(explicit: str | None) -> Template:
    """Return the template that the user named, or else the one of this command.

    Raises:
        MvcError: when this command carries no template of its own.
    """
    if explicit:
        local = Path(explicit)
        source = str(local.resolve()) if local.exists() else engine.expand(explicit)
        return Template(source, source)
    origin = _origin()
    checkout = _checkout(origin)
    if checkout:
        return Template(str(checkout), str(checkout))
    if not BUNDLE.exists():
        raise MvcError("This installation carries no template. Name one with `--template`.")
    url = origin["url"] if "vcs_info" in origin else _public_url()
    return Template(str(BUNDLE), url)


def fetch(template: Template, ref: str | None, folder: Path) -> Revision:
    """Bring the template to ``folder``, as a bare repository; return what ``ref`` is there.

    Without ``ref`` that is HEAD, under the name of its release tag where the template is
    the one that this command carries.

    Raises:
        MvcError: when the repository or the ref cannot be had.
    """
    try:
        git("clone", "--quiet", "--bare", "--shared", "--", template.source, str(folder))
    except MvcError as error:
        raise MvcError(f"Cannot clone the template `{template.source}`: {error}") from error
    bare = f"--git-dir={folder}"
    try:
        name = f"{ref or 'HEAD'}^{{commit}}"
        commit = git(bare, "rev-parse", "--verify", "--end-of-options", name)
    except MvcError as error:
        raise MvcError(f"The template `{template.url}` has no `{ref or 'HEAD'}`.") from error
    if not ref and template.source == str(BUNDLE):
        tags = git(bare, "tag", "--points-at", commit, "--sort=-version:refname").split()
        ref = next((tag for tag in tags if re.fullmatch(r"v?\d+\.\d+\.\d+", tag)), None)
    return Revision(commit, ref or None)


def _origin() -> dict[str, Any]:
    """Return what PEP 610 recorded of where this command was installed from."""
    text = distribution(DISTRIBUTION).read_text("direct_url.json")
    origin: dict[str, Any] = json.loads(text) if text else {}
    return origin


def _checkout(origin: dict[str, Any]) -> Path | None:
    if "dir_info" not in origin:
        return None
    path = Path(url2pathname(urlsplit(origin["url"]).path))
    return path if (path / ".git").exists() else None


def _public_url() -> str:
    entries = distribution(DISTRIBUTION).metadata.get_all("Project-URL") or []
    urls: dict[str, str] = dict(entry.split(", ", 1) for entry in entries)
    return urls["Repository"]
