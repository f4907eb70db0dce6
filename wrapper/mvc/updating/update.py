"""Brings what is new in a template to a project: tells it, merges it, takes it back."""

import json
import re
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mvc import console, engine, git, template
from mvc.answers import Options, given, refuse_jinja, told
from mvc.errors import MvcError, UsageError
from mvc.run import make
from mvc.state import STATE, Answers, State, skipped
from mvc.template import Revision, Template
from mvc.updating import rename_package, stage
from mvc.updating.merge import Blob, Files, Merge, Scratch
from mvc.updating.transaction import Handles, Journal

LOCKS = ("poetry.lock", "uv.lock")
WORDS = {"A": "create", "D": "delete", "M": "change", "R": "move", "T": "change"}


@dataclass(frozen=True)
class Standing:
    """The commit of the template that a project follows, and the newest one."""

    template: Template
    recorded: Revision
    latest: Revision
    is_current: bool

    def __str__(self) -> str:
        """Return it for people."""
        if self.is_current:
            return f"Up to date: {self.recorded} of {self.template.url}."
        return f"Outdated: {self.recorded}, and {self.template.url} is at {self.latest}."

    def as_json(self) -> str:
        """Return it for programs."""
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
    """What an update makes of the files in the project's folder.

    ``lock`` is the lock file that will be out of step with them, ``mentions`` are the
    places that still name a package which has moved.
    """

    target: Revision
    before: Files
    after: Files
    merge: Merge
    lock: str | None
    mentions: list[str]


@git.without_hooks()
def check(project: Path) -> Standing:
    """Return where a project stands.

    Raises:
        MvcError: when its template cannot be had, or lacks the commit it follows.
    """
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        return _standing(State.read(project), Path(folder, "template.git"), None)


@git.without_hooks()
def diff(project: Path) -> bool:
    """Print what a project has changed since its template; return whether it has.

    Raises:
        MvcError: when its template cannot be had, or fails.
    """
    state = State.read(project)
    with tempfile.TemporaryDirectory(prefix="mvc-") as name:
        folder = Path(name)
        clone = folder / "template.git"
        template.reach(state.template, state.commit, clone, console.warn)
        scratch = Scratch(folder / "scratch.git", project)
        render = engine.create(clone, state.commit, state.answers, folder / "recorded")
        return scratch.differs(_files(scratch, state, render))


@git.without_hooks()
def run(project: Path, options: Options, *, pretend: bool, refresh: bool) -> list[str]:
    """Merge what is new in the template into a project; return the files in conflict.

    ``pretend`` only tells what would happen, ``refresh`` keeps a tracked lock file in
    step. Nothing is written to the project before the merge is known to be possible.

    Raises:
        UsageError: when options contradict each other, or answer what is not asked.
        MvcError: when the project is not ready, the template fails, or, with the merge
            staged, the lock file could not be refreshed.
    """
    state = State.read(project)
    repository = git.repository(project)
    Journal(repository).refuse_unfinished()
    stage.refuse_changes(repository)
    with tempfile.TemporaryDirectory(prefix="mvc-") as name:
        scratch = Scratch(Path(name, "scratch.git"), project, repository.objects)
        plan = _plan(repository, scratch, state, options, Path(name))
        if plan.after == plan.before:
            console.say(f"Nothing to do: the project is up to date with {plan.target}.")
            return []
        tree = scratch.tree(_from_top(repository, scratch, plan.after))
        written = [path for path in (*plan.after, plan.lock) if path and path not in plan.before]
        stage.refuse_obstacles(project, plan.before, written)
        stage.rehearse(repository, scratch, tree)
        _tell(scratch, plan)
        if not pretend:
            _carry_out(repository, scratch, plan, tree, refresh)
            _advise(plan, refresh)
    return [*plan.merge.conflicts]


def abort(folder: Path) -> None:
    """Take back an update that is in conflict, or was killed.

    Raises:
        MvcError: when there is none in the repository that ``folder`` is in.
    """
    Journal(git.repository(folder)).undo()
    console.say("The project is as it was before the update.")


def _standing(state: State, clone: Path, explicit: str | None) -> Standing:
    """Bring the template to ``clone``, from where ``explicit`` says or else the state."""
    if explicit:
        source = template.find(explicit)
        template.fetch(source, clone)
    else:
        source = template.reach(state.template, state.commit, clone, console.warn)
    recorded = Revision(template.resolve(source, clone, state.commit).commit, state.name)
    latest = template.latest(source, clone)
    is_current = recorded.commit == latest.commit or engine.is_current(
        clone, recorded.commit, latest.commit
    )
    return Standing(source, recorded, latest, is_current)


def _plan(
    repository: git.Repository, scratch: Scratch, state: State, options: Options, folder: Path
) -> Plan:
    clone = folder / "template.git"
    standing = _standing(state, clone, options.template)
    target = standing.recorded if standing.is_current else standing.latest
    if options.checkout is not None:
        target = template.resolve(standing.template, clone, options.checkout)
    answers = _answers(options, state, engine.questions(clone, target.commit))
    old = engine.create(clone, standing.recorded.commit, state.answers, folder / "old")
    new = engine.create(clone, target.commit, answers, folder / "new")

    before = ours = scratch.files(repository.tree)
    if STATE not in before:
        raise MvcError(f"`{STATE}` is not committed. Commit it first.")
    base, theirs = (
        scratch.with_line_ends_of(ours, _files(scratch, state, render)) for render in (old, new)
    )
    package, renamed = (known.get("package_name", "") for known in (state.answers, answers))
    moves = package not in ("", renamed)
    if moves:
        base, ours = (
            rename_package.move(scratch, files, package, renamed) for files in (base, ours)
        )
    label = re.sub(r"[^\w.-]", "-", str(target))
    merge = scratch.merge(base, ours, theirs, f"template/{label}")
    after = {path: blob for path, blob in merge.files.items() if path != STATE}
    mentions = rename_package.leftovers(scratch, after, theirs, package) if moves else []

    record = State.read(new).following(standing.template.url, target.name, state)
    changed = Blob("100644", scratch.write(record.text))
    after[STATE] = changed if record != state else before[STATE]
    lock = _stale_lock(scratch, before, after, answers)
    return Plan(target, before, after, merge, lock, mentions)


def _answers(options: Options, state: State, questions: Answers) -> Answers:
    """Return an answer to every question: recorded, but for what the user says now."""
    chosen = given(options, questions)
    slug = state.answers.get("project_slug")
    if chosen.get("project_slug", slug) != slug:
        raise UsageError("`project_slug` is fixed for life.")
    recorded = {
        key: _carried(key, value, questions)
        for key, value in state.answers.items()
        if key in questions and key not in chosen
    }
    answers = engine.ask(questions, {**recorded, **chosen}, options.interactive)
    refuse_jinja(answers)
    fresh = {key: value for key, value in answers.items() if key not in state.answers}
    if fresh:
        console.say(f"New questions, and their answers: {told(fresh)}")
    gone = state.answers.keys() - answers.keys()
    if gone:
        console.say(f"No longer asked: {', '.join(sorted(gone))}")
    return answers


def _carried(key: str, value: Any, questions: Answers) -> Any:
    try:
        return engine.parse(key, value, questions)
    except UsageError as error:
        raise MvcError(f"The template has changed: {error} Use `--set {key}=...`.") from error


def _files(scratch: Scratch, state: State, render: Path) -> Files:
    """Return the files of a render, without those that the template has no say in."""
    ours = [PurePosixPath(STATE), *skipped(state, scratch.project, render)]
    return {
        path: blob
        for path, blob in scratch.add(render).items()
        if not any(PurePosixPath(path).is_relative_to(other) for other in ours)
    }


def _from_top(repository: git.Repository, scratch: Scratch, files: Files) -> Files:
    """Return all files of the repository, with these in the project's folder."""
    if not repository.prefix:
        return files
    everything = scratch.files(repository.head)
    others = {p: blob for p, blob in everything.items() if not p.startswith(repository.prefix)}
    return {**others, **{repository.prefix + path: blob for path, blob in files.items()}}


def _stale_lock(scratch: Scratch, before: Files, after: Files, answers: Answers) -> str | None:
    """Return the lock file to make anew, where the project tracks one."""
    tracked = [lock for lock in LOCKS if lock in before]
    lock = f"{answers.get('package_manager')}.lock"
    if not tracked or lock not in LOCKS:
        return None
    old, new = (_locked(scratch, files.get("pyproject.toml")) for files in (before, after))
    return lock if old != new or lock not in tracked else None


def _locked(scratch: Scratch, manifest: Blob | None) -> Any:
    """Return what a lock file depends on; None where the manifest cannot be read."""
    try:
        content = tomllib.loads(scratch.content(manifest)) if manifest else {}
    except tomllib.TOMLDecodeError:
        return None
    project, tool = content.get("project", {}), content.get("tool", {})
    keys = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    poetry = [tool.get("poetry", {}).get(key) for key in ("dependencies", "group")]
    return [*map(project.get, keys), content.get("dependency-groups"), *poetry, tool.get("uv")]


def _tell(scratch: Scratch, plan: Plan) -> None:
    """Print what becomes of each file, and what somebody should look at."""
    console.say(f"Update to {plan.target}:")
    changes = [
        (WORDS[letter], path)
        for letter, path in scratch.changes(plan.before, plan.after)
        if path not in plan.merge.conflicts
    ]
    changes += [("conflict", path) for path in plan.merge.conflicts]
    changes += [("keep out", f"{path} (deleted here)") for path in plan.merge.deleted]
    for word, path in changes:
        console.say(f"  {word:8}  {path}")
    if plan.mentions:
        console.say("\nThe old name of the package still stands in:")
        for place in plan.mentions:
            console.say(f"  {place}")
    for lock in LOCKS:
        if lock in plan.before and plan.lock not in (None, lock):
            console.say(f"\n`{lock}` is of no use any more: `git rm {lock}`.")


def _carry_out(
    repository: git.Repository, scratch: Scratch, plan: Plan, tree: str, refresh: bool
) -> None:
    """Write what the plan says, or leave everything as it was."""
    conflicts = [line for lines in plan.merge.conflicts.values() for line in lines]
    locks = [plan.lock] if plan.lock and refresh and not conflicts else []
    both = {**plan.before, **plan.after}
    changed = [path for path in both if plan.before.get(path) != plan.after.get(path)]
    failure = None
    journal = Journal(repository)
    touched = {*changed, *plan.merge.conflicts, *locks}
    with journal.opened([repository.prefix + path for path in touched]) as handles:
        stage.put(repository, scratch, tree, conflicts, journal, handles)
        for lock in locks:
            failure = _refresh(scratch.project, lock, handles)
        if not conflicts:
            journal.close()
    if failure:
        raise MvcError(
            f"The update is staged, but `{plan.lock}` is out of step. Run `make lock` and "
            f"`git add {plan.lock}`. What failed: {failure}"
        )


def _advise(plan: Plan, refresh: bool) -> None:
    """Print the ways on."""
    steps = []
    if plan.merge.conflicts:
        steps.append("Resolve the conflicts and `git add` the files.")
    else:
        steps.append("The update is staged: see `git diff --cached`.")
    if plan.lock and (plan.merge.conflicts or not refresh):
        steps.append(f"Run `make lock` and `git add {plan.lock}`.")
    steps.append("Run `make install test`, then commit.")
    if plan.merge.conflicts:
        steps.append("Or take it all back: `mvc update --abort`.")
    console.say("\n" + "\n".join(steps))


def _refresh(project: Path, lock: str, handles: Handles) -> MvcError | None:
    """Make the lock file anew and stage it; return why not, where that fails."""
    try:
        with console.progress(f"Making {lock} anew") as progress:
            make(project, "lock", progress, handles)
        git.output("add", "--", lock, cwd=project, inherit=handles)
    except MvcError as error:
        return error
    return None
