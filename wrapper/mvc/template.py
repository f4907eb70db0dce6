"""Where the template comes from, and under which name a project remembers it."""

import json
import re
from collections.abc import Callable
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

    def __str__(self) -> str:
        """Return it for people."""
        return self.name or self.commit[:12]


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


def fetch(template: Template, folder: Path) -> None:
    """Bring the template to ``folder``, as a bare repository.

    Raises:
        MvcError: when it cannot be had.
    """
    try:
        git("clone", "--quiet", "--bare", "--shared", "--", template.source, str(folder))
    except MvcError as error:
        raise MvcError(f"Cannot clone the template `{template.source}`: {error}") from error


def reach(url: str, commit: str, folder: Path, warn: Callable[[str], None]) -> Template:
    """Bring the template that a project remembers to ``folder``; return what was taken.

    Where it cannot be reached, the one that this command carries will do if it knows the
    commit; ``warn`` is told.

    Raises:
        MvcError: when neither can be had, or the template lacks the commit.
    """
    remembered = Template(engine.expand(url), url)
    try:
        fetch(remembered, folder)
    except MvcError as error:
        carried = Template(str(BUNDLE), url)
        try:
            fetch(carried, folder)
            resolve(carried, folder, commit)
        except MvcError:
            raise error from None
        warn(f"`{url}` cannot be reached. Taking the template that this command carries.")
        return carried
    resolve(remembered, folder, commit)
    return remembered


def resolve(template: Template, clone: Path, ref: str | None) -> Revision:
    """Return what ``ref`` is in a clone of the template.

    Without ``ref`` that is HEAD, under the name of its release tag where the template is
    the one that this command carries.

    Raises:
        MvcError: when there is no such commit.
    """
    bare = f"--git-dir={clone}"
    try:
        name = "HEAD" if ref is None else ref
        commit = git(bare, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except MvcError as error:
        raise MvcError(f"The template `{template.url}` has no `{name}`.") from error
    if ref is None and template.source == str(BUNDLE):
        ref = _newest_release(git(bare, "tag", "--points-at", commit))
    return Revision(commit, ref)


def latest(template: Template, clone: Path) -> Revision:
    """Return the newest release in a clone of the template, or HEAD where there is none."""
    tag = _newest_release(git(f"--git-dir={clone}", "tag"))
    # A branch may have the name of the tag.
    revision = resolve(template, clone, tag and f"refs/tags/{tag}")
    return Revision(revision.commit, tag or revision.name)


def _newest_release(tags: str) -> str | None:
    """Return the highest of the tags that are versions, pre-releases left out."""
    releases = [tag for tag in tags.split() if re.fullmatch(r"v?\d+\.\d+\.\d+", tag)]
    return max(releases, default=None, key=lambda tag: [*map(int, re.findall(r"\d+", tag))])


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
