"""Puts what came of a merge into the work tree and the index of a project."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mvc import git
from mvc.errors import MvcError
from mvc.updating.merge import Files, Scratch
from mvc.updating.transaction import Handles, Journal

# What git keeps in its folder while something of its own is half done.
UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
# Files that were touched, or copied with the repository, look changed until then.
REFRESH = ("update-index", "-q", "--refresh")
SHOWN = 5


def refuse_changes(repository: git.Repository) -> None:
    """Make sure that the work tree and the index are those of the current commit.

    Raises:
        MvcError: with what to do first.
    """
    for name in UNFINISHED:
        if (repository.folder / name).exists():
            raise MvcError(f"git is in the middle of something (`{name}`). Finish it first.")
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=no")
    # Looking must not write: git would bring its index up to date.
    looking = ("--no-optional-locks", "status", *options, "--ignore-submodules=dirty")
    entries = git.output(*looking, cwd=repository.top).split("\0")
    changed = [entry[3:] for entry in entries if entry]
    if changed:
        raise MvcError(f"Changed and not committed: {_names(changed)}. Commit or stash first.")


def refuse_obstacles(project: Path, before: Files, written: list[str]) -> None:
    """Make sure that nothing untracked or ignored is where something will be written.

    Raises:
        MvcError: with the names of what is in the way.
    """
    found = {obstacle for path in written for obstacle in _obstacles(project, before, path)}
    if found:
        raise MvcError(f"Not tracked, and in the way: {_names(sorted(found))}. Move it first.")


def rehearse(repository: git.Repository, scratch: Scratch, tree: str) -> None:
    """Let git look whether it could write the tree, without writing anything.

    Raises:
        MvcError: with git's own reason when it could not.
    """
    index = scratch.folder / "rehearsal"
    shutil.copy2(repository.folder / "index", index)
    env = {"GIT_INDEX_FILE": str(index), **git.alternates(scratch.folder / "objects")}
    git.output(*REFRESH, cwd=repository.top, env=env, fine=(0, 1))
    rehearsal = ("read-tree", "-m", "-u", "--dry-run", repository.head, tree)
    git.output(*rehearsal, cwd=repository.top, env=env)


def put(
    repository: git.Repository,
    scratch: Scratch,
    tree: str,
    conflicts: list[str],
    journal: Journal,
    handles: Handles,
) -> None:
    """Write the tree; ``conflicts`` are lines of ``git ls-files --stage`` in the project.

    Raises:
        MvcError: with git's own reason when it fails half way.
    """
    _copy_objects(scratch.folder / "objects", repository.objects)
    index = {"GIT_INDEX_FILE": str(journal.index)}
    git.output(*REFRESH, cwd=repository.top, env=index, fine=(0, 1), inherit=handles)
    update = ("read-tree", "-m", "-u", repository.head, tree)
    git.output(*update, cwd=repository.top, inherit=handles, env=index)
    if conflicts:
        nothing = "0" * len(tree)
        versions = [line.replace("\t", f"\t{repository.prefix}", 1) for line in conflicts]
        paths = {line.partition("\t")[2] for line in versions}
        # A path has to leave the index before it can enter in several versions.
        lines = [*(f"0 {nothing}\t{path}" for path in paths), *versions]
        stdin = "".join(f"{line}\0" for line in lines)
        mark = ("update-index", "-z", "--index-info")
        git.output(*mark, cwd=repository.top, stdin=stdin, inherit=handles, env=index)
    journal.take_effect()


def _names(paths: list[str]) -> str:
    names = ", ".join(f"`{path}`" for path in paths[:SHOWN])
    return f"{names} and {len(paths) - SHOWN} more" if len(paths) > SHOWN else names


def _obstacles(project: Path, before: Files, path: str) -> Iterator[str]:
    """Yield what is not tracked and has to go before ``path`` can be written."""
    for part in (PurePosixPath(path), *PurePosixPath(path).parents):
        place = project / part
        is_folder = place.is_dir() and not place.is_symlink()
        if os.path.lexists(place) and not is_folder and str(part) not in before:
            yield str(part)
    if not (project / path).is_symlink():
        for folder, _, names in os.walk(project / path):
            inside = (Path(folder, name).relative_to(project).as_posix() for name in names)
            yield from (name for name in inside if name not in before)


def _copy_objects(source: Path, target: Path) -> None:
    for file in source.glob("??/*"):
        copy = target / file.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            # Under its name an object must never be seen unfinished.
            draft = copy.with_name(f"tmp_obj_{copy.name}")
            shutil.copy2(file, draft)
            draft.replace(copy)
