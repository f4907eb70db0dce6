"""The template: where it is cloned from, and the URL that projects record."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from mvc import console, engine, git
from mvc.errors import MvcError
from mvc.state import Answers

DISTRIBUTION = "fastapi-mvc-template"
# The repository as it was when the wheel was built.
BUNDLE = Path(__file__).with_name("template.bundle")

# Parts of a URL to remove after the group: user and password; for ssh only the password, as
# the user is needed and not secret; the query.
SECRETS = (
    r"((?i:(?<!ssh)://))[^/\s]*@",
    r"((?i:ssh://)[^/\s:@]+):[^/\s]*(?=@)",
    r"(://[^\s`'?]+)\?[^\s`']*",
)


@dataclass(frozen=True)
class Revision:
    """A commit, by its full hash, and the ref that was requested, if any."""

    commit: str
    name: str | None

    def __str__(self) -> str:
        """Return the ref, or else a short hash."""
        return self.name or self.commit[:12]


@dataclass(frozen=True)
class Template:
    """A bare clone of a template's repository.

    ``source`` is what was cloned, ``url`` what projects record: it has no credentials.
    """

    clone: Path
    source: str
    url: str

    def resolve(self, ref: str | None) -> Revision:
        """Return the commit of ``ref``.

        Without ``ref`` that is HEAD; in the bundled template it has the name of its release
        tag.

        Raises:
            MvcError: when there is no such commit.
        """
        name = "HEAD" if ref is None else ref
        try:
            commit = self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        except MvcError as error:
            raise MvcError(f"The template `{self.url}` has no revision `{name}`.") from error
        if ref is None and self.source == str(BUNDLE):
            ref = _newest_release(self._git("tag", "--points-at", commit))
        return Revision(commit, ref)

    def latest(self) -> Revision:
        """Return the newest release, or HEAD if there is none."""
        tag = _newest_release(self._git("tag"))
        # A branch can have the same name as the tag.
        return Revision(self.resolve(tag and f"refs/tags/{tag}").commit, tag)

    def is_current(self, recorded: str, target: str) -> bool:
        """Return whether a project at the commit ``recorded`` already has all of ``target``.

        The rule is that of ``cruft check --not-strict``: the files are the same, or
        ``target`` is an ancestor.
        """
        same = recorded == target or not self._git("diff-tree", recorded, target)
        return same or not self._git("rev-list", "--max-count=1", f"{recorded}..{target}")

    def questions(self, commit: str) -> Answers:
        """Return the questions of a commit with their unrendered defaults.

        A default is a string (possibly a Jinja template of earlier answers), a boolean, or
        a list of choices.

        Raises:
            MvcError: when the commit is not a template.
        """
        try:
            content = json.loads(self._git("show", f"{commit}:cookiecutter.json"))
        except MvcError as error:
            raise MvcError("The template has no `cookiecutter.json`.") from error
        except json.JSONDecodeError as error:
            raise MvcError(f"The template's `cookiecutter.json` is broken: {error}.") from error
        if not isinstance(content, dict):
            raise MvcError("The template's `cookiecutter.json` is broken: it has no questions.")
        return content

    def refusal(self, commit: str, answers: Answers) -> str:
        """Return why the hook of a commit refuses ``answers``, or an empty string."""
        try:
            hook = self._git("show", f"{commit}:hooks/pre_gen_project.py")
        except MvcError:
            return ""
        return engine.refusal(hook, answers)

    def _git(self, *arguments: str) -> str:
        return git.git(f"--git-dir={self.clone}", *arguments)


def fetch(explicit: str | None, folder: Path) -> Template:
    """Clone the template that the user named, or else this command's own, to ``folder``.

    Raises:
        MvcError: when it cannot be cloned, or this command has no template of its own.
    """
    source, url = _origin(explicit)
    template = _clone(source, url, folder)
    if Path(url).is_absolute() or url.startswith("file:"):
        console.say(
            f"The project records the template as `{url}`, which is on this machine only. "
            "Change that with `mvc update --template URL`."
        )
    return template


def _origin(explicit: str | None) -> tuple[str, str]:
    """Return what to clone, and the URL that projects record."""
    if explicit:
        local = Path(explicit)
        source = str(local.resolve()) if local.exists() else engine.expand(explicit)
        return source, source
    # PEP 610 says where this command was installed from.
    origin = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    checkout = _checkout(origin)
    if checkout:
        return checkout, checkout
    if not BUNDLE.exists():
        raise MvcError("This installation contains no template. Specify one with `--template`.")
    return str(BUNDLE), origin["url"] if "vcs_info" in origin else _public_url()


def fetch_recorded(url: str, commit: str, folder: Path) -> Template:
    """Clone the template that a project records to ``folder``.

    If it cannot be reached, fall back to the bundled template, with a warning, if that has
    the commit.

    Raises:
        MvcError: when neither is available.
    """
    try:
        return _clone(engine.expand(url), url, folder)
    except MvcError:
        with suppress(MvcError):
            template = _clone(str(BUNDLE), url, folder)
            template.resolve(commit)
            console.warn(
                f"`{template.url}` cannot be reached. Using the template bundled with this command."
            )
            return template
        raise


def _clone(source: str, url: str, folder: Path) -> Template:
    try:
        git.git("clone", "--quiet", "--bare", "--shared", "--", source, str(folder))
    except MvcError as error:
        sentence = f"Cannot clone the template `{source}`: {error}"
        raise MvcError(_without_credentials(sentence)) from error
    return Template(folder, source, _without_credentials(url))


def _without_credentials(text: str) -> str:
    for secret in SECRETS:
        text = re.sub(secret, r"\1", text)
    return text


def _newest_release(tags: str) -> str | None:
    """Return the highest version among the tags, ignoring pre-releases."""
    releases = [tag for tag in tags.split() if re.fullmatch(r"v?\d+\.\d+\.\d+", tag)]
    return max(releases, default=None, key=lambda tag: [*map(int, re.findall(r"\d+", tag))])


def _checkout(origin: dict[str, Any]) -> str | None:
    if "dir_info" not in origin:
        return None
    # Takes a few milliseconds to import, and is needed for drive letters on Windows.
    from urllib.request import url2pathname

    path = Path(url2pathname(origin["url"].removeprefix("file://")))
    return str(path) if (path / ".git").exists() else None


def _public_url() -> str:
    # The only URL in pyproject.toml.
    return distribution(DISTRIBUTION).metadata["Project-URL"].removeprefix("Repository, ")
