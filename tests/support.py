"""Helpers that several test modules share: bakes, environments, processes, ports."""

import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple, Self

import pexpect

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
PUBLIC_URL = "https://github.com/org/fastapi-mvc-template"
MVC = Path(sys.executable).with_name("mvc")
SECONDS = 30

# A `sitecustomize` module: before step number AT among the audit events in KINDS whose
# arguments match PLACES, the process sends itself SIGNAL, or the step fails if that is 0.
STEPS = """
import os, re, sys
taken = 0
def step(event, arguments):
    global taken
    if event in KINDS and re.search(PLACES, repr(arguments)):
        taken += 1
        if taken == AT:
            if not SIGNAL:
                raise OSError(28, "No space left on device")
            os.kill(os.getpid(), SIGNAL)
KINDS, PLACES = os.environ["KINDS"].split(), os.environ["PLACES"]
AT, SIGNAL = int(os.environ["AT"]), int(os.environ["SIGNAL"])
sys.addaudithook(step)
"""
# The audit events of changes to the contents of a folder.
KINDS = "os.link os.mkdir os.remove os.rename os.rmdir"

# A proxy address where nothing listens, so that every download fails.
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")

# The answer of `/api/ready`, and that of a service that cannot connect to Redis.
OK = (200, '{"status":"ok"}')
LOST = (
    502,
    '{"error":{"code":502,"message":"Could not connect to Redis","status":"BAD_GATEWAY"}}',
)
# For tests that are not about timeouts: long enough for a busy machine.
PATIENT = {"FASTAPI_REDIS_TIMEOUT": "20"}
# No port is given out twice, because a stopped server can be restarted at its port.
GIVEN_PORTS: set[int] = set()

# The first generator command in the documentation.
MARKET = ("controller", "stock_market", "ticker", "buy:post", "sell:delete")

QUESTIONS: dict[str, Any] = {
    key: value
    for key, value in json.loads((ROOT / "cookiecutter.json").read_text("utf-8")).items()
    if not key.startswith("_")
}


# The metrics of a service: the type, and the labels that the service itself sets.
METRICS: dict[str, tuple[str, frozenset[str]]] = {
    "http_request_duration_seconds": ("histogram", frozenset({"method", "route", "status"})),
    "http_requests_in_progress": ("gauge", frozenset()),
    "http_request_body_bytes_total": ("counter", frozenset({"method", "route"})),
    "http_response_body_bytes_total": ("counter", frozenset({"method", "route"})),
    "client_connections_in_use": ("gauge", frozenset({"client"})),
    "client_connections_limit": ("gauge", frozenset({"client"})),
    "client_connection_wait_seconds": ("histogram", frozenset({"client"})),
    "client_errors_total": ("counter", frozenset({"client", "kind"})),
    "service_ready": ("gauge", frozenset()),
    "service_start_time_seconds": ("gauge", frozenset()),
    "service_info": ("gauge", frozenset({"version", "python"})),
}
# Paths of the files that formatters and linters read; of the code and tests of a service;
# and of the files that start it with other containers.
PYTHON = r".*\.py|pyproject\.toml"
CODE = r"(?!docs/|scripts/|tests/unit/test_chart\.py).*\.py|pyproject\.toml"
COMPOSED = r"compose\.yaml"


def load(path: Path) -> Any:
    """Import a Python file that is in no package, such as a hook."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FEATURES: dict[tuple[str, Any], list[str]] = load(ROOT / "hooks/post_gen_project.py").FEATURES


def combinations() -> list[dict[str, Any]]:
    """Return every combination of the answers that affect which files a project has."""
    deciding = {key for key, _ in FEATURES}
    choices = {
        key: [True, False] if isinstance(value, bool) else value
        for key, value in QUESTIONS.items()
        if isinstance(value, bool) or key in deciding
    }
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def representatives(paths: str) -> list[dict[str, Any]]:
    """Return a combination of answers for each variant of the files whose paths match a regex.

    Answers that do not affect these files are the defaults. `test_bake.py` verifies that no
    other combination has other variants.
    """
    names = {"project_slug": "galactic-empire", "package_name": "galactic_empire"}
    matching = {}
    for file in TEMPLATE.rglob("*"):
        path = file.relative_to(TEMPLATE).as_posix()
        for key, name in names.items():
            path = path.replace(f"{{{{cookiecutter.{key}}}}}", name)
        if file.is_file() and re.fullmatch(paths, path):
            matching[Path(path)] = file.read_text("utf-8")
    used = {word for text in matching.values() for word in re.findall(r"cookiecutter\.(\w+)", text)}
    deciding = used | {
        key
        for (key, _), listed in FEATURES.items()
        if any(
            path.is_relative_to(entry.format_map(names)) for path in matching for entry in listed
        )
    }
    first = combinations()[0]
    return [
        answers
        for answers in combinations()
        if all(answers[key] == first[key] for key in answers.keys() - deciding)
    ]


def covering(strength: int, among: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a few combinations that cover every possible set of ``strength`` answers."""
    # An answer that is the same in all combinations is always covered.
    deciding = [key for key in among[0] if any(each[key] != among[0][key] for each in among)]
    met = [tuples(strength, {key: each[key] for key in deciding}) for each in among]
    left = set().union(*met)
    chosen = []
    while left:
        best = max(range(len(among)), key=lambda index: len(left & met[index]))
        chosen.append(among[best])
        left -= met[best]
    return chosen


def tuples(size: int, answers: dict[str, Any]) -> set[tuple[tuple[str, Any], ...]]:
    """Return all subsets of ``size`` answers of a combination."""
    return {*itertools.combinations(answers.items(), size)}


# Lets a function fill a new folder of this name once for all processes of a test run.
Once = Callable[[str, Callable[[Path], object]], Path]

# The projects to run generators in: generated code depends on the package alone.
GROWN = covering(2, representatives(r"galactic_empire/.*"))


def label(answers: dict[str, Any]) -> str:
    """Return a readable name of a combination, such as ``poetry +redis -aiohttp``."""
    signs = {True: "+", False: "-"}
    return " ".join(
        signs[value] + key if isinstance(value, bool) else value for key, value in answers.items()
    )


@dataclass(frozen=True)
class Baked:
    """A baked project that tests share, and therefore must not write to."""

    path: Path
    answers: dict[str, Any]

    @property
    def package(self) -> Path:
        """The folder of the project's package."""
        return self.path / str(self.answers["package_name"])

    def files(self) -> dict[str, Path]:
        """Return every file by its path in the project."""
        return {
            file.relative_to(self.path).as_posix(): file
            for file in sorted(self.path.rglob("*"))
            if file.is_file()
        }

    def settings(self) -> dict[str, str]:
        """Return every variable that the project's settings declare, and its type."""
        words = (sys.executable, "-B", "-c", SETTINGS, self.package.name)
        kinds: dict[str, str] = json.loads(run(*words, cwd=self.path))
        return kinds


SETTINGS = """
import json, sys
from importlib import import_module
print(json.dumps({
    f"FASTAPI_{name.upper()}": getattr(field.annotation, "__name__", "")
    for settings in import_module(f"{sys.argv[1]}.server.settings").SETTINGS
    for name, field in settings.model_fields.items()
}))
"""


@dataclass(frozen=True)
class Project(Baked):
    """A project for one test alone, with an environment in which everything runs."""

    def make(self, *words: str, **variables: str) -> str:
        """Run make verbs, which must succeed; return what they printed."""
        return run("make", *words, cwd=self.path, **variables)

    @property
    def python(self) -> Path:
        """The interpreter of the project's environment."""
        return self.path / ".venv/bin/python"


def fuzz(service: "Service", folder: Path, *options: str) -> None:
    """Let Schemathesis look for responses that the service does not declare."""
    run(
        *(Path(sys.executable).with_name("st"), "run"),
        f"http://127.0.0.1:{service.port}/openapi.json",
        *("--checks", "all", "--max-examples", "50", "--seed", "1"),
        *("--generation-database", "none", "--no-color", *options),
        cwd=folder,
    )


def remember(baked: Baked) -> None:
    """Write the `.cruft.json` that a project baked by cookiecutter lacks."""
    public = {key: value for key, value in baked.answers.items() if not key.startswith("_")}
    state = {"template": str(ROOT), "commit": "0" * 40, "context": {"cookiecutter": public}}
    (baked.path / ".cruft.json").write_text(json.dumps(state), "utf-8")


def copied(baked: Baked, folder: Path) -> Project:
    """Copy a shared bake into ``folder``, with a `.cruft.json` but no environment yet."""
    copy = Project(folder / baked.path.name, baked.answers)
    shutil.copytree(baked.path, copy.path)
    remember(copy)
    return copy


class Server:
    """An HTTP server on this machine."""

    def __init__(self, port: int) -> None:
        """Send requests to ``port`` of 127.0.0.1."""
        self.port = port

    def get(self, path: str, timeout: float = SECONDS) -> tuple[int, str]:
        """Return the status code and the body."""
        return self.request("GET", path, timeout=timeout)[:2]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = SECONDS,
    ) -> tuple[int, str, HTTPMessage]:
        """Return the status code, the body and the headers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            connection.close()

    def answers(self, path: str = "/api/live", status: int = 200) -> bool:
        """Return whether ``path`` is answered with ``status``."""
        try:
            return self.get(path)[0] == status
        except OSError:
            return False


class Service(Server):
    """A running service, in a session of its own together with its workers."""

    def __init__(
        self,
        command: Sequence[str | Path],
        port: int,
        variables: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        """Start ``command``, which must listen on ``port``."""
        super().__init__(port)
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @classmethod
    def of(
        cls,
        python: Path,
        package: str,
        *arguments: str,
        cwd: str,
        **variables: str,
    ) -> Self:
        """Serve a package on a free port, unless ``arguments`` bind it elsewhere.

        Its database is a file in ``cwd``, unless a variable names another.
        """
        port = free_port()
        binding = [] if "--bind" in arguments else ["--bind", f"127.0.0.1:{port}"]
        words = ("-m", package, "serve", *binding, *arguments)
        return cls([python, *words], port, variables, Path(cwd))

    def answers(self, path: str = "/api/live", status: int = 200) -> bool:
        """Return whether ``path`` is answered with ``status``; fail if the service exited."""
        assert self.process.poll() is None, f"the service exited {self.process.returncode}"
        return super().answers(path, status)

    def workers(self) -> set[int]:
        """Return the PIDs of the workers."""
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return set(map(int, children))

    def stop(self) -> int:
        """Send SIGTERM to the master; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """Kill the master and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class RedisServer:
    """A redis-server, or a Sentinel, that can be suspended, killed and restarted."""

    process: subprocess.Popen[bytes]

    def __init__(
        self,
        folder: Path,
        *lines: str,
        sentinel: bool = False,
        host: str = "127.0.0.1",
        port: int | None = None,
        tls: Path | None = None,
    ) -> None:
        """Write the configuration, which includes ``lines``; the default port is a free one.

        With ``tls``, a folder of certificates, every connection uses TLS, replication too.
        """
        self.host, self.port, self.tls = host, port or free_port(), tls
        # A Sentinel keeps its state in this file, and rejects settings about data.
        data = [] if sentinel else ['save ""', "repl-diskless-sync-delay 0"]
        listening = [f"port {self.port}"]
        if tls:
            files = (f'tls-{name}-file "{tls}/{name}.pem"' for name in ("cert", "key", "ca-cert"))
            listening = ["port 0", f"tls-port {self.port}", *files]
            listening += ["tls-auth-clients no", "tls-replication yes"]
        settings = [*listening, f"bind {host}", f'dir "{folder}"', *data, *lines]
        file = folder / "redis.conf"
        file.write_text("\n".join(settings) + "\n", "utf-8")
        self.command: list[str | Path] = ["redis-server", file]
        if sentinel:
            self.command.append("--sentinel")

    def start(self) -> None:
        """Start it, for the first time or again; return when it listens."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self.listens)

    def listens(self) -> bool:
        """Return whether it accepts connections."""
        assert self.process.poll() is None, f"redis-server exited {self.process.returncode}"
        with suppress(OSError), socket.create_connection((self.host, self.port)):
            return True
        return False

    def send(self, *words: str) -> str:
        """Send a command; return the output of redis-cli."""
        tls = ("--tls", "--cacert", self.tls / "ca-cert.pem") if self.tls else ()
        return run("redis-cli", "-h", self.host, "-p", str(self.port), *tls, *words, cwd=ROOT)

    def hang(self) -> None:
        """Make it accept connections but answer none, until :meth:`resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after :meth:`hang`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, even while it hangs."""
        self.process.kill()
        self.process.wait()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a service that uses it."""
        return {"FASTAPI_USE_REDIS": "true", "FASTAPI_REDIS_PORT": str(self.port)}


def program(folder: Path, name: str, text: str) -> None:
    """Put a shell script on a PATH that begins with ``folder``."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


class UnixConnection(HTTPConnection):
    """A connection to a UNIX socket; an abstract one begins with NUL."""

    def __init__(self, path: Path | str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self.path))


def listens(connection: HTTPConnection) -> bool:
    """Return whether the connection is accepted."""
    with suppress(OSError), closing(connection):
        connection.connect()
        return True
    return False


def free_port() -> int:
    """Return a free TCP port of this machine, a different one each time."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port not in GIVEN_PORTS:
            GIVEN_PORTS.add(port)
            return port


def interrupt(terminal: "pexpect.spawn[str]") -> None:
    """Type Ctrl-C until the command ends, which must exit with 130.

    Python misses a Ctrl-C that comes just before it reads a line.
    """
    expected: list[Any] = ["Interrupted", pexpect.TIMEOUT]

    def is_interrupted() -> bool:
        terminal.sendintr()
        return terminal.expect(expected, timeout=10) == 0

    wait_until(is_interrupted, seconds=60)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def wait_until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return when ``condition`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not hold in {seconds} seconds"
        time.sleep(0.02)


def serve_once(python: Path) -> None:
    """Start the service that is installed beside ``python``; it must answer and then stop."""
    quiet = {"FASTAPI_GUNICORN_LOG_LEVEL": "warning"}
    service = Service.of(python, "galactic_empire", cwd=str(python.parent), **quiet)
    try:
        wait_until(service.answers)
        assert service.get("/api/ready") == (200, '{"status":"ok"}')
        assert service.stop() == 0
    finally:
        service.kill()


def add_controller(package: Path, name: str, code: str) -> None:
    """Add a controller to a package, as users do."""
    (package / f"app/controllers/{name}.py").write_text(code, "utf-8")
    with (package / "app/router.py").open("a", encoding="utf-8") as router:
        router.write(f"    from .controllers import {name}\n\n")
        router.write(f"    app.include_router({name}.router, prefix=PREFIX)\n")


def with_controller(project: Project, folder: Path, code: str) -> dict[str, str]:
    """Copy the package into ``folder`` and add a controller ``planets``.

    Return the variables that make a service of ``project`` run the copy with the
    environment of ``project``.
    """
    package = shutil.copytree(project.package, folder / project.package.name)
    add_controller(package, "planets", code)
    return {"PYTHONPATH": str(folder)}


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command that must succeed; return all that it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"{command} exited {done.returncode} in {cwd}:\n{done.stdout}"
    return done.stdout


def git(*arguments: str, cwd: Path) -> str:
    """Run git, which must succeed; return what it printed."""
    return run("git", *arguments, cwd=cwd).strip()


def commit(repository: Path, message: str) -> None:
    """Commit everything in a work tree, with a dummy identity."""
    identity = ["-c", "user.name=Developer", "-c", "user.email=developer@example.com"]
    run("git", "add", "--all", cwd=repository)
    run("git", *identity, "commit", "--quiet", "-m", message, cwd=repository)


def unmerged(project: Path) -> list[str]:
    """Return the files of a project that are in conflict."""
    listed = git("ls-files", "--unmerged", "-z", cwd=project).split("\0")[:-1]
    return sorted({line.partition("\t")[2] for line in listed})


def commit_template(folder: Path) -> None:
    """Commit the template of the work tree, with uncommitted changes, to a new repository."""
    folder.mkdir()
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
    commit(folder, "The template")


class Entry(NamedTuple):
    """The content of a file, the target of a link, or None for a folder."""

    mode: int
    content: bytes | None


def snapshot(folder: Path) -> dict[str, Entry]:
    """Return all files, links and folders below a folder, including git's."""
    found = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else None
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        found[path.relative_to(folder).as_posix()] = Entry(path.lstat().st_mode, content)
    return found


def tree(folder: Path) -> dict[str, Entry]:
    """Return every file and link of a project, except git's."""
    return {
        path: entry
        for path, entry in snapshot(folder).items()
        if entry.content is not None and ".git" not in path.split("/")
    }


def folders(path: Path) -> set[str]:
    """Return every folder below a path."""
    return {name for name, entry in snapshot(path).items() if entry.content is None}


def sets(answers: Mapping[str, Any]) -> list[str]:
    """Return the ``mvc`` options that set these answers."""
    return [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]


def differences_after_update(
    template: Path, folder: Path, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """Create a project with answers, update it to others, and create one with those.

    Return the paths in which the two differ.
    """
    updated, created = (folder / side / "galactic-empire" for side in ("updated", "created"))
    for project, answers in ((updated, before), (created, after)):
        project.parent.mkdir(parents=True)
        new = ("new", project, "-n", "-I", "--template", template)
        run(MVC, *new, *sets(answers), cwd=folder)
    changed = {key: value for key, value in after.items() if before[key] != value}
    run(MVC, "update", "-n", "-I", *sets(changed), cwd=updated)
    return differences(updated, created)


def differences(project: Path, other: Path) -> list[str]:
    """Return the paths in which two projects differ."""
    here, there = tree(project), tree(other)
    return sorted(path for path in {**here, **there} if here.get(path) != there.get(path))


def release(
    template: Path,
    tag: str | None,
    files: Mapping[str, str | bytes | None],
    questions: Mapping[str, Any] | None = None,
) -> str:
    """Commit a version of a small template, and tag it; return the commit.

    ``files`` are those of the project; None removes one. ``questions`` are added to the
    template's questions, which begin with `project_slug`.
    """
    manifest = template / "cookiecutter.json"
    if not template.exists():
        template.mkdir(parents=True)
        git("init", "--quiet", "--initial-branch=main", cwd=template)
        manifest.write_text(json.dumps({"project_slug": "empire"}), "utf-8")
    known = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps({**known, **(questions or {})}), "utf-8")
    for name, content in files.items():
        file = template / "{{cookiecutter.project_slug}}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    commit(template, tag or "Go on")
    if tag:
        git("tag", tag, cwd=template)
    return git("rev-parse", "HEAD", cwd=template)


def disturbing_itself(
    folder: Path, at: int, kinds: str, places: str, number: int = signal.SIGKILL
) -> dict[str, str]:
    """Return the variables that make a command send itself a signal before one of its steps.

    With the signal 0 the step fails instead, as on a full disk.
    """
    (folder / "sitecustomize.py").write_text(STEPS)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    settings = {"AT": str(at), "KINDS": kinds, "PLACES": places, "SIGNAL": str(int(number))}
    return {"PYTHONPATH": path, **settings}


@cache
def package_index() -> str:
    """Return the URL of the package index that pip is configured for."""
    code = (
        "from pip._internal.commands import create_command as command;"
        "print(command('install').parse_args([])[0].index_url)"
    )
    return run(sys.executable, "-c", code, cwd=ROOT).splitlines()[-1]


def uv(*arguments: str | Path, cwd: Path) -> str:
    """Run uv with the package index of pip."""
    tool = Path(sys.executable).with_name("uv")
    return run(tool, *arguments, cwd=cwd, UV_DEFAULT_INDEX=package_index())


def environment(folder: Path, *packages: str | Path, python: str = sys.executable) -> Path:
    """Create an environment in ``folder`` and install into it; return its interpreter."""
    uv("venv", "--quiet", "--python", python, folder, cwd=ROOT)
    interpreter = folder / "bin/python"
    uv("pip", "install", "--quiet", "--python", interpreter, *packages, cwd=folder)
    return interpreter


@cache
def interpreters() -> dict[str, str]:
    """Return the supported Python interpreters of this machine, by version."""
    found = {}
    for version in ("3.11", "3.12", "3.13", "3.14"):
        candidates = [
            shutil.which(f"python{version}"),
            *Path.home().glob(f".pyenv/versions/{version}.*/bin/python"),
        ]
        for candidate in filter(None, candidates):
            done = subprocess.run([str(candidate), "-V"], capture_output=True, text=True)
            if done.stdout.startswith(f"Python {version}."):
                found[version] = str(candidate)
                break
    return found
