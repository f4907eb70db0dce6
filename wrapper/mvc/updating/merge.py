"""Merges files like git branches, in a separate repository without a work tree."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from mvc import git
from mvc.errors import MvcError


class Blob(NamedTuple):
    """An entry of a tree: git's mode, such as ``100755``, and the object."""

    mode: str
    id: str


Files = dict[str, Blob]
# The mode of a symbolic link.
LINK = "120000"
# Mode, object and stage of each version, by path.
Conflicts = dict[str, list[str]]


@dataclass(frozen=True)
class Repository:
    """The repository of a project, and the project's place in it.

    ``prefix`` ends with a slash, or is empty if the project is the whole repository;
    ``object_format`` is ``sha1`` or ``sha256``.
    """

    top: Path
    folder: Path
    objects: Path
    prefix: str
    object_format: str
    head: str

    @classmethod
    def of(cls, project: Path) -> Self:
        """Return the repository that holds the project.

        Raises:
            MvcError: when there is none, or the project is not committed.
        """
        where = ("--show-toplevel", "--absolute-git-dir", "--git-path", "objects", "--show-prefix")
        try:
            found = git.output(
                "rev-parse", *where, "--show-object-format", "HEAD", cwd=project
            ).split("\n")
        except MvcError as error:
            if git.is_inside_repository(project):
                raise MvcError("The project is not committed. Commit it first.") from error
            advice = "Run `git init` and commit it first."
            raise MvcError(f"The project is not in a git repository. {advice}") from error
        top, folder, objects, *rest, _ = found
        return cls(Path(top), Path(folder), project / objects, *rest)


class Scratch:
    """A temporary repository that can read the objects of the project's repository."""

    def __init__(self, folder: Path, project: Path, own: Repository | None = None) -> None:
        """Create it in ``folder``; git attributes apply as in ``project``.

        ``own`` is the project's repository.

        Raises:
            MvcError: when git is too old.
        """
        self.folder = folder
        self.project = project
        self._own = own
        version = git.git("version").split()[2]
        # The first version whose `merge-tree` merges.
        if tuple(map(int, version.split(".")[:2])) < (2, 38):
            raise MvcError(f"This is git {version}. Updates need git 2.38 or newer.")
        self._objects = _alternates(own.objects) if own else {}
        # Both need the same object format to read each other's objects, and the same sharing
        # mode, as the objects are copied with their permissions.
        asking = ("config", "core.sharedRepository")
        shared = git.output(*asking, cwd=project, ok_codes=(0, 1)).strip()
        options = [f"--shared={shared}"] if shared else []
        options += [f"--object-format={own.object_format}"] if own else []
        git.git("init", "--quiet", "--bare", "--template=", *options, str(folder))

    def git(self, *arguments: str, tree: Path | None = None, **options: Any) -> str:
        """Run git here, with the project or ``tree`` as the work tree.

        ``options`` are those of :func:`mvc.git.output`.
        """
        place = tree or self.project
        where = (f"--git-dir={self.folder}", f"--work-tree={place}")
        return git.output(*where, *arguments, cwd=place, **options)

    def read(self, *arguments: str, **options: Any) -> str:
        """Run git here, with access to the objects of the project's repository.

        Not for writing: git would touch those objects if they already exist there.
        """
        return self.git(*arguments, env=self._objects, **options)

    def add(self, folder: Path) -> Files:
        """Add all files of a folder; return them as the project would commit them."""
        (self.folder / "index").unlink(missing_ok=True)
        self.git("-c", "core.autocrlf=false", "add", "--all", "--force", tree=folder)
        files = _files(self.git("ls-files", "--stage", "-z"), slice(2))
        return {**files, **self._cleaned(folder, files)} if self._own else files

    def _cleaned(self, folder: Path, files: Files) -> Files:
        """Return the files with a ``filter`` attribute, set or unset, cleaned by the project."""
        paths = "".join(f"{path}\0" for path, blob in files.items() if blob.mode != LINK)
        asking = ("check-attr", "-z", "--stdin", "filter")
        fields = git.output(*asking, cwd=self.project, stdin=paths).split("\0")
        here = {"GIT_OBJECT_DIRECTORY": str(self.folder / "objects")}

        def clean(path: str) -> str:
            options = ("-w", f"--path={path}", "--", str(folder / path))
            return git.output("hash-object", *options, cwd=self.project, env=here).strip()

        return {
            path: files[path]._replace(id=clean(path))
            for path, value in zip(fields[::3], fields[2::3], strict=False)
            if value != "unspecified"
        }

    def files(self, tree: str) -> Files:
        """Return the files of a tree."""
        listed = self.read("ls-tree", "-r", "-z", "--full-tree", tree)
        return _files(listed, slice(None, None, 2))

    def tree(self, files: Files) -> str:
        """Write the tree of these files and return it; the index then contains them."""
        (self.folder / "index").unlink(missing_ok=True)
        lines = "".join(f"{blob.mode} {blob.id}\t{path}\0" for path, blob in files.items())
        self.git("update-index", "-z", "--index-info", stdin=lines)
        # The blobs may exist only in the project's repository.
        return self.git("write-tree", "--missing-ok").strip()

    def content(self, blob: Blob) -> str:
        """Return the content of a file."""
        return self.read("cat-file", "blob", blob.id)

    def write(self, content: str, kind: str = "blob") -> str:
        """Write an object with this content, by default a blob, and return it."""
        return self.git("hash-object", "-t", kind, "-w", "--stdin", stdin=content).strip()

    def with_windows_line_ends(self, files: Files) -> Files:
        """Return the files, with CRLF line endings where the project has committed CRLF."""
        listed = git.output("ls-files", "--eol", "-z", cwd=self.project).split("\0")
        entries = (line.partition("\t") for line in listed if line.startswith("i/crlf "))
        changed = {}
        for path in (path for _, _, path in entries if path in files):
            text = self.content(files[path]).replace("\r\n", "\n").replace("\n", "\r\n")
            changed[path] = files[path]._replace(id=self.write(text))
        return {**files, **changed}

    def merge(
        self, base: Files, ours: Files, theirs: Files, label: str
    ) -> tuple[Files, Conflicts, list[str]]:
        """Merge two descendants of ``base``; return files, conflicts and deleted paths.

        Text files in conflict have markers with the labels ``yours`` and ``label``. Deleted
        paths are those that theirs has changed and ours has deleted.
        """
        parents = f"parent {self._commit(base)}\n"
        sides = {"yours": self._commit(ours, parents), label: self._commit(theirs, parents)}
        refs = "".join(f"create refs/heads/{name} {commit}\n" for name, commit in sides.items())
        self.git("update-ref", "--stdin", stdin=refs)
        # The user's git configuration for renames must not change the result.
        known = ("renames=true", "directoryRenames=true", "renameLimit=0")
        settings = [word for setting in known for word in ("-c", f"merge.{setting}")]
        options = ("--write-tree", "-z", "--no-messages")
        merged = self.read(*settings, "merge-tree", *options, "yours", label, ok_codes=(0, 1))
        tree, *lines = filter(None, merged.split("\0"))
        files = self.files(tree)
        stages = defaultdict(list)
        for version, _, path in (line.partition("\t") for line in lines):
            stages[path].append(version)
        deleted = [path for path, found in stages.items() if {v[-1] for v in found} == {"1", "3"}]
        for path in deleted:
            del files[path], stages[path]
        return files, dict(stages), deleted

    def changes(self, before: str, after: str, prefix: str) -> list[tuple[str, str]]:
        """Return git's status letter and the path of each change below a prefix."""
        options = ("-r", "-M", "--name-status", f"--relative={prefix}")
        listed = self.read("-c", "core.quotePath=false", "diff-tree", *options, before, after)
        rows = (line.split("\t") for line in listed.split("\n")[:-1])
        return [(letter[0], " -> ".join(paths)) for letter, *paths in rows]

    def differs(self, files: Files) -> bool:
        """Print how the project differs from these files; return whether it does."""
        if not self._own:
            where = (f"--git-dir={self.folder}", f"--work-tree={self.project}")
            return git.show_diff(*where, tree=self.tree(files), cwd=self.project)
        prefix, absent = self._own.prefix, self._absent()
        tree = self.tree({prefix + path: blob for path, blob in files.items()})
        self.tree({prefix + path: absent.get(path, blob) for path, blob in files.items()})
        marked = "".join(f"{prefix}{path}\0" for path in absent.keys() & files.keys())
        self.git("update-index", "--skip-worktree", "-z", "--stdin", stdin=marked)
        # With the settings of the project's own repository.
        env = {"GIT_INDEX_FILE": str(self.folder / "index")}
        env |= _alternates(self.folder / "objects")
        return git.show_diff(tree=tree, cwd=self.project, env=env)

    def _absent(self) -> Files:
        """Return the files of the project that a sparse checkout leaves out."""
        listed = git.output("ls-files", "-t", "--stage", "-z", cwd=self.project).split("\0")
        sparse = "\0".join(line[2:] for line in listed if line.startswith("S "))
        return {
            path: blob
            for path, blob in _files(sparse, slice(2)).items()
            if not os.path.lexists(self.project / path)
        }

    def _commit(self, files: Files, parents: str = "") -> str:
        # Written as an object, so that git needs neither the user's name nor the date.
        by = "mvc <mvc> 0 +0000"
        text = f"tree {self.tree(files)}\n{parents}author {by}\ncommitter {by}\n\n"
        return self.write(text, "commit")


def _alternates(objects: Path) -> dict[str, str]:
    """Return the variables that let git read the objects of another repository."""
    quoted = str(objects.resolve()).replace("\\", r"\\").replace('"', r"\"")
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}


def _files(listed: str, blob: slice) -> Files:
    """Parse a listing of files; the fields ``blob`` hold mode and object."""
    entries = (line.partition("\t") for line in listed.split("\0") if line)
    return {path: Blob(*about.split()[blob]) for about, _, path in entries}
