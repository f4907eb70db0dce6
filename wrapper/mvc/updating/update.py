"""The commands ``mvc check``, ``mvc diff`` and ``mvc update``."""

import tempfile
from contextlib import suppress
from pathlib import Path

from mvc import console, engine, git, template
from mvc.answers import Options
from mvc.errors import MvcError
from mvc.state import State, find_project
from mvc.updating.lockfile import LOCKS, refresh_lock
from mvc.updating.merge import Repository, Scratch
from mvc.updating.plan import Plan, Status, make_plan, rendered_files, status_of
from mvc.updating.transaction import Transaction, refuse_changes, refuse_obstacles

LABELS = {"A": "create", "D": "delete", "M": "change", "R": "move", "T": "change"}


@git.without_hooks()
def check_project(project: Path) -> Status:
    """Compare a project's commit with its template's newest release, or else HEAD.

    Raises:
        MvcError: when the template is not available, or lacks the recorded commit.
    """
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        return status_of(State.read(project), Path(folder, "template.git"))


@git.without_hooks()
def diff_project(project: Path) -> bool:
    """Print how a project differs from its template; return whether it does.

    Raises:
        MvcError: when the template is not available, or fails.
    """
    state = State.read(project)
    own = None
    with suppress(MvcError):  # A diff needs neither a repository nor a commit.
        own = Repository.of(project)
    with tempfile.TemporaryDirectory(prefix="mvc-") as name:
        folder = Path(name)
        clone = folder / "template.git"
        template.fetch_recorded(state.template, state.commit, clone).resolve(state.commit)
        scratch = Scratch(folder / "scratch.git", project, own)
        render = engine.create(clone, state.commit, state.answers, folder / "recorded")
        return scratch.differs(rendered_files(scratch, state, render))


@git.without_hooks()
def update_project(project: Path, options: Options, *, pretend: bool, refresh: bool) -> list[str]:
    """Merge the template's changes into a project; return the files in conflict.

    ``pretend`` only reports what would happen, ``refresh`` updates a tracked lock file.
    Nothing is written to the project before the merge is known to be possible.

    Raises:
        UsageError: when options contradict each other, or answer an unknown question.
        MvcError: when the project is not ready, the template fails, or, with the merge
            staged, the lock file could not be refreshed.
    """
    state = State.read(project)
    repository = Repository.of(project)
    transaction = Transaction(repository)
    transaction.refuse_unfinished()
    refuse_changes(repository)
    with tempfile.TemporaryDirectory(prefix="mvc-") as name:
        scratch = Scratch(Path(name, "scratch.git"), project, repository)
        plan = make_plan(repository, scratch, state, options, Path(name))
        if plan.after == plan.before:
            console.say(f"Nothing to do: the project is up to date with {plan.target}.")
            return []
        written = [path for path in (*plan.after, plan.lock) if path and path not in plan.before]
        refuse_obstacles(project, written)
        _report(repository, scratch, plan)
        if pretend:
            return [*plan.conflicts]
        transaction.apply(scratch, plan.tree, plan.changed, plan.conflicts)
    refresh = refresh and not plan.conflicts and not plan.indexes
    if plan.lock and refresh:
        refresh_lock(project, plan.lock)
    _advise(plan, refresh)
    return [*plan.conflicts]


def abort_update(folder: Path) -> None:
    """Undo an update that has conflicts or was killed.

    Raises:
        MvcError: when there is none in the repository of ``folder``.
    """
    # A killed update may have left no state file: then use ``folder`` as the project.
    with suppress(MvcError):
        folder = find_project(folder)
    Transaction(Repository.of(folder)).undo()
    console.say("The project is as it was before the update.")


def _report(repository: Repository, scratch: Scratch, plan: Plan) -> None:
    """Print the change to each file, and what needs the user's attention."""
    console.say(f"Update to {plan.target}:")
    changes = [
        (LABELS[letter], path)
        for letter, path in scratch.changes(repository.head, plan.tree, repository.prefix)
        if path not in plan.conflicts
    ]
    changes += [("conflict", path) for path in plan.conflicts]
    changes += [("keep out", f"{path} (deleted here)") for path in plan.deleted]
    for label, path in changes:
        console.say(f"  {label:8}  {path}")
    if plan.mentions:
        console.say("\nThe old name of the package is still used in:")
        for place in plan.mentions:
            console.say(f"  {place}")
    for lock in LOCKS:
        if lock in plan.before and plan.lock not in (None, lock):
            console.say(f"\n`{lock}` is obsolete: `git rm {lock}`.")
    if plan.indexes:
        console.say(f"\n{plan.indexes}")


def _advise(plan: Plan, refreshed: bool) -> None:
    """Print the next steps."""
    steps = ["The update is staged: see `git diff --cached`."]
    if plan.conflicts:
        steps = ["Resolve the conflicts and `git add` the files."]
    for path, versions in plan.conflicts.items():
        found = {version[-1] for version in versions}
        if "1" in found and "3" not in found:
            keep = ", or `git add` it to keep yours" if "2" in found else ""
            steps.append(f"The template no longer has `{path}`: `git rm` it{keep}.")
    if plan.lock and not refreshed:
        steps.append(f"Run `make lock` and `git add {plan.lock}`.")
    steps.append("Run `make install test`, then commit.")
    if plan.conflicts:
        steps.append("Or undo the update: `mvc update --abort`.")
    console.say("\n" + "\n".join(steps))
