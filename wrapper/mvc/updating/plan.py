"""Plans an update; nothing is written to the project."""

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mvc import console, engine, template
from mvc.answers import Options, Refusal, complete, features, parse
from mvc.errors import MvcError, UsageError
from mvc.state import STATE, Answers, State
from mvc.template import Revision, Template
from mvc.updating import rename_package
from mvc.updating.lockfile import stale_lock, unread_indexes
from mvc.updating.merge import Blob, Conflicts, Files, Repository, Scratch


@dataclass(frozen=True)
class Status:
    """The commit of the template that a project follows, and the newest one."""

    template: Template
    recorded: Revision
    latest: Revision
    is_current: bool

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.is_current:
            return f"Up to date: {self.recorded} of {self.template.url}."
        return f"Outdated: the project is at {self.recorded}, {self.template.url} at {self.latest}."

    def as_json(self) -> str:
        """Return it as a JSON object."""
        return json.dumps(
            {
                "template": self.template.url,
                "current": self.is_current,
                "commit": self.recorded.commit,
                "checkout": self.recorded.name,
                "latest_commit": self.latest.commit,
                "latest_checkout": self.latest.name,
            }
        )


@dataclass(frozen=True)
class Plan:
    """The files in the project's folder before and after an update.

    ``tree`` is the new tree of the whole repository; ``deleted`` are paths that the template
    changed and the project has deleted; ``lock`` is the lock file that will be out of date;
    ``indexes`` is advice about package indexes to follow before locking; ``mentions`` are the
    places that still contain the old name of the package.
    """

    target: Revision
    before: Files
    after: Files
    tree: str
    conflicts: Conflicts
    deleted: list[str]
    lock: str | None
    indexes: str | None
    mentions: list[str]

    @property
    def changed(self) -> list[str]:
        """The paths that are added, changed or removed."""
        both = {**self.before, **self.after}
        return [path for path in both if self.before.get(path) != self.after.get(path)]


def status_of(state: State, clone: Path, explicit: str | None = None) -> Status:
    """Clone the template, from ``explicit`` or as recorded, and compare it with the state.

    Raises:
        MvcError: when the template is not available, or lacks the recorded commit.
    """
    if explicit:
        source = template.fetch(explicit, clone)
    else:
        source = template.fetch_recorded(state.template, state.commit, clone)
    recorded = source.resolve(state.commit)
    latest = source.latest()
    is_current = source.is_current(recorded.commit, latest.commit)
    return Status(source, Revision(recorded.commit, state.name), latest, is_current)


def make_plan(
    repository: Repository, scratch: Scratch, state: State, options: Options, folder: Path
) -> Plan:
    """Plan the update that the options request; ``folder`` is for temporary files.

    Raises:
        UsageError: when options contradict each other, or answer an unknown question.
        MvcError: when the template is not available, or fails.
    """
    status = status_of(state, folder / "template.git", options.template)
    target = status.recorded if status.is_current else status.latest
    if options.checkout is not None:
        target = status.template.resolve(options.checkout)
    source, commit = status.template, target.commit
    refusal = partial(source.refusal, commit)
    answers = _answers(options, state, source.questions(commit), refusal)
    clone = source.clone
    old = engine.create(clone, status.recorded.commit, state.answers, folder / "old")
    new = engine.create(clone, target.commit, answers, folder / "new")

    top, prefix = scratch.files(repository.head), repository.prefix
    before = {path.removeprefix(prefix): top[path] for path in top if path.startswith(prefix)}
    if STATE not in before:
        raise MvcError(f"`{STATE}` is not committed. Commit it first.")
    base, theirs = (
        scratch.with_windows_line_ends(rendered_files(scratch, state, render))
        for render in (old, new)
    )
    label = "template/" + re.sub(r"[^\w.-]", "-", str(target))
    names = [known.get("package_name", "") for known in (state.answers, answers)]
    base, ours = (rename_package.move(scratch, side, *names) for side in (base, before))
    files, conflicts, deleted = scratch.merge(base, ours, theirs, label)
    after = {path: blob for path, blob in files.items() if path != STATE}
    mentions = rename_package.leftovers(scratch, after, theirs, *names)

    record = State.read(new).following(status.template.url, target.name, state)
    changed = Blob("100644", scratch.write(record.text))
    after[STATE] = changed if record != state else before[STATE]
    others = {path: blob for path, blob in top.items() if not path.startswith(prefix)}
    tree = scratch.tree(others | {prefix + path: blob for path, blob in after.items()})
    lock = stale_lock(before, after, answers)
    indexes = unread_indexes(scratch, before, state.answers, answers)
    return Plan(target, before, after, tree, conflicts, deleted, lock, indexes, mentions)


def rendered_files(scratch: Scratch, state: State, render: Path) -> Files:
    """Return the files of a render, except those to skip."""
    kept = [PurePosixPath(STATE), *state.skipped(scratch.project, render)]
    return {
        path: blob
        for path, blob in scratch.add(render).items()
        if not any(PurePosixPath(path).is_relative_to(other) for other in kept)
    }


def _answers(options: Options, state: State, questions: Answers, refusal: Refusal) -> Answers:
    """Return an answer to every question: the user's, or else the recorded one.

    Features that are new in the template are declined by default.

    Raises:
        UsageError: when options contradict each other, or answer an unknown question.
        MvcError: when a recorded answer is no longer valid.
    """
    chosen = options.answers(questions)
    slug = state.answers.get("project_slug")
    if chosen.get("project_slug", slug) != slug:
        raise UsageError("`project_slug` cannot be changed.")
    recorded = {
        key: _carried(key, value, questions)
        for key, value in state.answers.items()
        if key in questions and key not in chosen
    }
    declined = {key: False for key in features(questions) if key not in state.answers}
    answers = complete({**questions, **declined}, {**recorded, **chosen}, options, refusal)
    for key in [key for key in answers if key not in {**recorded, **chosen}]:
        option = f"--{key.replace('_', '-')}" if key in options.chosen else f"--set {key}=..."
        console.say(f"New question: {key}={answers[key]}. Answer it with `{option}`.")
    return answers


def _carried(key: str, value: Any, questions: Answers) -> Any:
    try:
        return parse(key, value, questions)
    except UsageError as error:
        raise MvcError(f"The template has changed: {error} Use `--set {key}=...`.") from error
