"""A killed or interrupted ``mvc update`` loses nothing, and leaves nothing half done."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import Mvc
from stress.kills import Picture, leftovers, picture, renew
from support import KINDS, MVC, commit, disturbing_itself, release, run, snapshot, wait_until

pytestmark = pytest.mark.slow

# Wraps a program on PATH. At call number AT, it sends a signal to the process in VICTIM.
SHIM = """#!/bin/sh
echo "{name} $*" >> "$CALLS"
look() {{ tar -cf - -C "$PLACE" . | cksum >> "$CALLS.seen"; }}
if [ "$(wc -l < "$CALLS")" -ne "$AT" ]; then
    [ "$MOMENT" = watch ] || exec {program} "$@"
    look; {program} "$@"; code=$?; look; exit $code
fi
case $MOMENT in
    before | watch) kill "-$SIGNAL" "$VICTIM"; exit 1 ;;
    orphan) kill "-$SIGNAL" "$VICTIM"; exec {program} "$@" ;;
    late) kill "-$SIGNAL" "$VICTIM"; n=0
        until [ -e "$CALLS.go" ] || [ $((n += 1)) -gt 300 ]; do sleep 0.1; done
        {program} "$@"; echo over >> "$CALLS" ;;
    after) {program} "$@"; code=$?; kill "-$SIGNAL" "$VICTIM"; exit $code ;;
esac
"""
OWN_STEPS = r"{project}/\.git/(index|mvc-update(\.tmp)?')"
MAKEFILE = "lock:\n\t@{before}grep dependencies pyproject.toml > uv.lock\n"
VARIANTS = ["conflict", "lock"]


@dataclass(frozen=True)
class Scene:
    """A project to update, and the calls of the update.

    ``staged`` is its state between ``old`` and ``new``: merged, with the old lock file.
    """

    project: Path
    pristine: Path
    shims: Path
    old: Picture
    staged: Picture
    new: Picture
    code: int
    calls: list[str]

    @property
    def writing(self) -> int:
        """The number of the first call that writes to the project."""
        return self.calls.index("git update-index -q --refresh") + 1

    @property
    def written(self) -> int:
        """The number of the last call that writes before the lock file is made."""
        calls = self.calls
        return calls.index("make lock") if "make lock" in calls else len(calls)

    def renew(self) -> None:
        """Restore the project to its state before any update."""
        renew(self.pristine, self.project)

    def command(self, *words: str) -> list[str | Path]:
        """Return a command line for the project that passes its own PID to every shim."""
        known = 'VICTIM=$$; export VICTIM; exec "$@"'
        return ["sh", "-c", known, "sh", MVC, "-C", self.project, "update", *words]

    def disturbed(self, at: int, moment: str, name: str, *words: str) -> int:
        """Update, with a signal at one of the calls; return the exit code."""
        calls = self.shims / "calls"
        for file in self.shims.glob("calls*"):
            file.unlink()
        variables = {"AT": str(at), "MOMENT": moment, "SIGNAL": name, "CALLS": str(calls)}
        variables["PLACE"] = str(self.project)
        path = f"{self.shims}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            self.command("-n", *words),
            env={**os.environ, **variables, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return done.returncode


MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(mvc: Mvc, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeScene:
    # Remove the temporary files of killed updates with those of the test.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))

    def scene(variant: str, makefile: str = MAKEFILE.format(before="")) -> Scene:
        template, project, shims = tmp_path / "template", home / "empire", tmp_path / "shims"
        publish(template, makefile)
        mvc("new", "empire", "-n", "-I", "--template", str(template), "--checkout", "v1.0.0")
        own = {"conflict": "mine\n2\n3\n4\n", "lock": "1\n2\n3\nmine\n"}
        (project / "changed.txt").write_text(own[variant])
        if variant == "lock":
            (project / "uv.lock").write_text("dependencies = []\n")
        commit(project, "Mine")
        (project / "untracked").write_text("mine\n")
        (project / "my.ignored").write_text("mine\n")
        shutil.copytree(project, tmp_path / "pristine", symlinks=True)

        shims.mkdir()
        for name in ("git", "make"):
            (shims / name).write_text(SHIM.format(name=name, program=shutil.which(name)))
            (shims / name).chmod(0o755)
        old = picture(project)
        undisturbed = Scene(project, tmp_path / "pristine", shims, old, {}, {}, 0, [])
        undisturbed.disturbed(0, "never", "KILL", "-I")
        staged = picture(project)
        undisturbed.renew()
        code = undisturbed.disturbed(0, "never", "KILL")
        assert code == (3 if variant == "conflict" else 0)
        # Read bytes, because an argument is a carriage return, which must not end a line.
        calls = (shims / "calls").read_bytes().decode().split("\n")[:-1]
        new = picture(project)
        return replace(undisturbed, staged=staged, new=new, code=code, calls=calls)

    return scene


def publish(template: Path, makefile: str) -> None:
    """Release a small template twice; its hook calls git, as the command itself does."""
    contents = template / "{{cookiecutter.project_slug}}"
    hook = template / "hooks/post_gen_project.sh"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\ngit --version > hooked\n")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", template], check=True)
    (template / "cookiecutter.json").write_text('{"project_slug": "empire"}')
    old: dict[str, str | bytes | None] = {
        ".gitignore": "*.ignored\n",
        "Makefile": makefile,
        "changed.txt": "1\n2\n3\n4\n",
        "gone/for/good.txt": "gone\n",
        "logo.bin": bytes(range(256)),
        "old/name.txt": "".join(f"{number}\n" for number in range(50)),
        "pyproject.toml": "[project]\ndependencies = []\n",
        "script": "#!/bin/sh\n",
    }
    new: dict[str, str | bytes | None] = {
        "changed.txt": "one\n2\n3\n4\n",
        "gone/for/good.txt": None,
        "logo.bin": bytes(reversed(range(256))),
        "new/deep/file.txt": "new\n",
        "old/name.txt": None,
        "new/name.txt": old["old/name.txt"],
        "pyproject.toml": '[project]\ndependencies = ["httpx"]\n',
    }
    release(template, "v1.0.0", old, {"package_manager": ["uv", "poetry"]})
    (contents / "script").chmod(0o755)
    release(template, "v1.1.0", new)


def assert_whole(scene: Scene, mvc: Mvc, waits: bool) -> None:
    """Check that an unfinished update can be aborted, and succeeds when repeated.

    ``waits`` means that a child process of the update is still running.
    """
    words = ("-C", str(scene.project), "update")
    if waits or (scene.project / ".git/mvc-update").exists():
        command: list[str | Path] = [MVC, *words, "--abort"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as abort:
            assert abort.stderr
            if waits:
                assert abort.stderr.readline().startswith("Waiting for an update")
                (scene.shims / "calls.go").touch()
            assert abort.wait(30) == 0, abort.stderr.read()
        assert waits == (scene.shims / "calls").read_text().endswith("\nover\n")
        assert leftovers(scene.project) == []
        assert picture(scene.project) == scene.old
    found = picture(scene.project)
    assert "index.lock" not in leftovers(scene.project)
    if found not in (scene.staged, scene.new):
        assert found == scene.old
        done = mvc(*words, "-n")
        assert done.returncode == scene.code, done.stderr
        assert picture(scene.project) == scene.new


def test_update_killed_before_it_writes_changes_nothing(scene: MakeScene) -> None:
    played = scene("lock")
    assert "git --version" in played.calls  # The hook.
    played.renew()

    played.disturbed(played.writing, "watch", "KILL")

    # The states that a kill would leave, just before and after each of the calls.
    seen = (played.shims / "calls.seen").read_text().splitlines()
    assert len(seen) > played.writing
    assert len(set(seen)) == 1
    for at in range(1, played.writing):
        played.renew()
        before = snapshot(played.project)

        code = played.disturbed(at, "orphan", "KILL")

        assert code == -signal.SIGKILL, f"call {at} was not reached"
        assert snapshot(played.project) == before, f"killed at {played.calls[at - 1]}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_update_killed_while_it_writes_can_be_aborted(
    scene: MakeScene, mvc: Mvc, variant: str
) -> None:
    played = scene(variant)
    for at in range(played.writing, played.written + 1):
        for moment in ("before", "late", "after"):
            played.renew()

            code = played.disturbed(at, moment, "KILL")

            assert code == -signal.SIGKILL, f"call {at} was not reached"
            assert_whole(played, mvc, waits=moment == "late")


def test_update_killed_between_its_own_steps_can_be_aborted(
    scene: MakeScene, mvc: Mvc, tmp_path: Path
) -> None:
    played = scene("lock")
    places = OWN_STEPS.format(project=played.project)
    words = ("-C", str(played.project), "update", "-n")
    code, at = -signal.SIGKILL, 0
    while code:
        at += 1
        played.renew()

        code = mvc(*words, **disturbing_itself(tmp_path, at, KINDS, places)).returncode

        assert code in (0, -signal.SIGKILL)
        assert_whole(played, mvc, waits=False)
    assert at > 5


def test_update_interrupted_between_its_own_steps_is_entirely_old_or_new(
    scene: MakeScene, mvc: Mvc, tmp_path: Path
) -> None:
    played = scene("lock")
    places = OWN_STEPS.format(project=played.project)
    words = ("-C", str(played.project), "update", "-n")
    code, at = 130, 0
    while code:
        at += 1
        played.renew()

        disturbing = disturbing_itself(tmp_path, at, KINDS, places, signal.SIGINT)
        code = mvc(*words, **disturbing).returncode

        assert code in (0, 130)
        assert leftovers(played.project) == []
        assert picture(played.project) in (played.old, played.staged, played.new)
    assert at > 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_update_interrupted_while_it_writes_is_undone(scene: MakeScene, variant: str) -> None:
    played = scene(variant)
    for at in range(played.writing, played.written + 1):
        for number, moment in ((signal.SIGINT, "late"), (signal.SIGTERM, "after")):
            played.renew()

            code = played.disturbed(at, moment, number.name.removeprefix("SIG"))

            assert code == 128 + number, f"{moment} {played.calls[at - 1]}"
            assert leftovers(played.project) == []
            assert picture(played.project) == played.old


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_update_interrupted_while_locking_stays_staged_and_says_so(
    scene: MakeScene, tmp_path: Path, number: signal.Signals
) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    stubborn = f"trap '' INT TERM; touch {started}; sleep 1; touch {ended}; "
    played = scene("lock", MAKEFILE.format(before=stubborn))
    played.renew()
    started.unlink()
    ended.unlink()
    process = subprocess.Popen(played.command("-n"), stderr=subprocess.PIPE, text=True)
    wait_until(started.exists)

    process.send_signal(number)

    _, printed = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert printed.startswith(
        "The update is staged, but `uv.lock` may be out of date. "
        "Run `make lock` and `git add uv.lock`.\n"
    )
    assert ended.exists()
    assert leftovers(played.project) == []
    staged = "ls-files --stage"
    assert picture(played.project)[staged] == played.staged[staged] != played.new[staged]


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_abort_can_be_repeated(
    scene: MakeScene, mvc: Mvc, tmp_path: Path, variant: str
) -> None:
    played = scene(variant)
    if variant == "lock":
        played.renew()
        played.disturbed(played.writing + 1, "after", "KILL")
    unfinished = tmp_path / "unfinished"
    run("cp", "-a", played.project, unfinished, cwd=tmp_path)
    words = ("-C", str(played.project), "update", "--abort")
    code, at = -signal.SIGKILL, 0
    while code:
        at += 1
        renew(unfinished, played.project)
        before = snapshot(played.project)

        kinds = f"{KINDS} subprocess.Popen"
        code = mvc(*words, **disturbing_itself(tmp_path, at, kinds, "git|empire")).returncode

        assert code in (0, -signal.SIGKILL)
        if snapshot(played.project) != before:
            # The abort can be complete except for the folder that it discards.
            again = mvc(*words)
            assert again.returncode == 0 or "no update to abort" in again.stderr
            assert picture(played.project) == played.old, f"killed before step {at}"
            assert set(leftovers(played.project)) <= {"mvc-update.tmp"}
    assert at > 20
