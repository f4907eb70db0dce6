"""Kills updates at random moments, and checks the state of the project.

``make kills [ARGS="COUNT SEED"]``. Whatever the moment, the project must be entirely
old or entirely new, or ``mvc update --abort`` must restore it.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from support import MVC, ROOT, commit, git, run, snapshot

UPDATE = ("update", "-n", "-I", "--no-redis")
OLD, NEW, BACK, BROKEN = "entirely old", "entirely new", "restored", "broken"
Picture = dict[str, object]


def main() -> None:
    """Print the outcomes of all killed updates; exit with 1 if any is broken."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="mvc-kills-") as name:
        folder = Path(name)
        # Remove the temporary files of killed updates as well.
        (folder / "tmp").mkdir()
        os.environ["TMPDIR"] = str(folder / "tmp")
        tally = Counter(kills(folder, count, random.Random(seed)))
    result = ", ".join(f"{tally[outcome]} {outcome}" for outcome in (OLD, NEW, BACK, BROKEN))
    print(f"{count} kills with seed {seed}: {result}")
    sys.exit(tally[BROKEN] > 0)


def kills(folder: Path, count: int, moments: random.Random) -> list[str]:
    """Kill ``count`` updates; return the outcomes."""
    project = prepare(folder)
    old = picture(project)
    durations = []
    for _ in range(3):
        renew(folder / "pristine", project)
        start = time.monotonic()
        run(MVC, *UPDATE, cwd=project)
        durations.append(time.monotonic() - start)
    duration, new = min(durations), picture(project)
    outcomes = []
    for number in range(count):
        renew(folder / "pristine", project)
        before = snapshot(project)
        moment = moments.uniform(0, duration)
        kill(project, moment, group=number % 2 == 1)
        # If not a byte has changed, not even in `.git`, there is nothing to judge.
        outcomes.append(OLD if snapshot(project) == before else judge(project, old, new))
        if outcomes[-1] == BROKEN:
            print(f"broken by kill {number} after {moment:.3f} of {duration:.3f} seconds")
    return outcomes


def prepare(folder: Path) -> Path:
    """Create a project whose template has a newer release; keep a copy of it."""
    template, project = folder / "template", folder / "project"
    git("clone", "--quiet", str(ROOT), str(template), cwd=folder)
    git("tag", "v1000.0.0", cwd=template)
    run(MVC, "new", project, "-n", "-I", "--template", template, cwd=folder)
    (project / ".env").write_text("IGNORED=true\n")
    (project / "untracked").write_text("mine\n")
    for file in template.glob("{{cookiecutter.project_slug}}/**/*.py"):
        file.write_text(file.read_text("utf-8") + "# Changed.\n", "utf-8")
    contents = template / "{{cookiecutter.project_slug}}"
    (contents / "README.md").rename(contents / "READ.md")
    (contents / "new").mkdir()
    (contents / "new/script").write_text("#!/bin/sh\n")
    (contents / "new/script").chmod(0o755)
    commit(template, "Change a lot")
    git("tag", "v1000.1.0", cwd=template)
    shutil.copytree(project, folder / "pristine", symlinks=True)
    return project


def renew(pristine: Path, project: Path) -> None:
    """Restore the project to its state before any update."""
    shutil.rmtree(project)
    # Unlike `shutil.copytree`, it preserves hard links.
    run("cp", "-a", pristine, project, cwd=pristine)
    # Refresh the index, which is out of date after copying.
    git("status", cwd=project)


def kill(project: Path, moment: float, group: bool) -> None:
    """Kill an update after ``moment`` seconds, alone or with its child processes."""
    process = subprocess.Popen(
        [MVC, *UPDATE],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()


def judge(project: Path, old: Picture, new: Picture) -> str:
    """Return the outcome for a project whose update was killed."""
    outcome = OLD
    # Without it, no surviving child process of the update writes to the project.
    if (project / ".git/mvc-update").exists():
        if mvc(project, "update", "--abort") or leftovers(project):
            return BROKEN
        outcome = BACK
    found = picture(project)
    if "index.lock" in leftovers(project):
        return BROKEN
    if outcome == OLD and found == new:
        return NEW
    if found != old or mvc(project, *UPDATE) or picture(project) != new or leftovers(project):
        return BROKEN
    return outcome


def mvc(project: Path, *arguments: str) -> int:
    """Run the command and discard its output; return its exit code."""
    return subprocess.run([MVC, *arguments], cwd=project, capture_output=True).returncode


def picture(project: Path) -> Picture:
    """Return the visible state of a project: its files, and their status in git."""
    own = {path: about for path, about in snapshot(project).items() if not path.startswith(".git/")}
    questions = (
        ("ls-files", "--stage"),
        ("rev-parse", "--symbolic-full-name", "HEAD"),
        ("rev-parse", "HEAD"),
        # Do not refresh the index: an update must work without that.
        ("--no-optional-locks", "status", "--porcelain", "--ignored"),
    )
    return own | {" ".join(words): git(*words, cwd=project) for words in questions}


def leftovers(project: Path) -> list[str]:
    """Return the files that an update has left in the git directory."""
    found = (project / ".git").iterdir()
    return sorted(path.name for path in found if path.name.startswith(("mvc-update", "index.lock")))


if __name__ == "__main__":
    main()
