"""Fixtures: shared bakes, projects for a single test, and the summary of executed verbs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, flock
from functools import cache
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from rendering import Rendering, renderings
from support import (
    MVC,
    PATIENT,
    QUESTIONS,
    ROOT,
    Baked,
    Once,
    Project,
    RedisServer,
    Service,
    combinations,
    commit_template,
    copied,
    covering,
    environment,
    free_port,
    label,
    listens,
    package_index,
    run,
    wait_until,
    with_controller,
)

Bake = Callable[..., Baked]
Mvc = Callable[..., "subprocess.CompletedProcess[str]"]
MakeProject = Callable[..., Project]
Serve = Callable[..., Service]
Nginx = Callable[[str], int]
StartRedis = Callable[..., RedisServer]
EXECUTED = "executed"
NGINX = """
daemon off;
# A single process keeps running as the user of the tests, who owns their folders.
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:%d;
        %s
    }
}
"""
# Their fixtures are available to all tests.
pytest_plugins = ["charts", "postgresql", "resources"]
# Other projects with tests of their own.
collect_ignore = ["fixtures"]

# Services start in a quarter of the time with the bytecode of their dependencies.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Tests change HOME, but keep using the same download caches.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
# The variables of a make that runs these tests must not reach the make of projects.
for name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)
# Background jobs start with some of these signals ignored, and so does what `nohup` runs;
# child processes inherit that. A handler that does nothing has the same effect here, but is
# not inherited.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one test more than there are processors, as some test always waits."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped")


@pytest.fixture(scope="session", autouse=True)
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Check the types of dependencies once for all projects."""
    os.environ["MYPY_CACHE_DIR"] = str(tmp_path_factory.mktemp("mypy"))


@pytest.fixture(scope="session")
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "together"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def once(together: Path) -> Once:
    """Let ``make`` fill a new folder, once for all processes of this test run."""

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = together / name, together / f"{name}.made"
        with (together / f"{name}.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def bake(cookies_session: Any, once: Once) -> Bake:
    """Bake the template of the work tree, once for each set of ``answers``."""

    @cache
    def bake(**answers: Any) -> Baked:
        unknown = answers.keys() - QUESTIONS.keys()
        assert not unknown, f"no such questions: {unknown}"

        def make(folder: Path) -> None:
            result = cookies_session.bake(extra_context=answers, template=str(ROOT))
            assert result.exception is None, result.exception
            result.project_path.rename(folder / result.project_path.name)
            (folder / "answers.json").write_text(json.dumps(result.context), "utf-8")

        folder = once(sha256(repr(sorted(answers.items())).encode()).hexdigest(), make)
        context = json.loads((folder / "answers.json").read_text("utf-8"))
        return Baked(folder / context["project_slug"], context)

    return bake


@pytest.fixture(scope="session")
def every(bake: Bake) -> list[Baked]:
    """Projects that together cover every combination of three answers."""
    return [bake(**answers) for answers in covering(3, combinations())]


@pytest.fixture(scope="session")
def rendered(bake: Bake) -> list[Rendering]:
    """The files of every combination of answers, equal to those that are baked."""
    return renderings(bake().answers)


@pytest.fixture(scope="session")
def forms(rendered: list[Rendering]) -> set[tuple[str, str]]:
    """Every variant of every file, as path and text."""
    return {variant for each in rendered for variant in each.files.items()}


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> MakeProject:
    """Copy a bake into the test's own folder and give it an environment."""

    def project(python: str = sys.executable, **answers: Any) -> Project:
        copy = copied(bake(**answers), tmp_path)
        install(copy, python)
        return copy

    return project


@pytest.fixture(scope="session")
def managers(once: Once) -> dict[str, str]:
    """Return variables that put Poetry and uv on the PATH and set their package index."""
    packages = ("poetry>=2.2,<3", "poetry-plugin-pypi-mirror<1")
    folder = once("managers", lambda folder: environment(folder / "venv", *packages))
    return {
        "PATH": os.pathsep.join([f"{folder}/venv/bin", str(MVC.parent), os.environ["PATH"]]),
        "POETRY_PYPI_MIRROR_URL": package_index(),
        "UV_DEFAULT_INDEX": package_index(),
    }


@pytest.fixture
def service(bake: Bake, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the test's own project, without an environment or a repository."""
    path = copied(bake(), home).path
    monkeypatch.chdir(path)
    return path


@pytest.fixture(scope="session")
def full(bake: Bake, once: Once) -> Project:
    """The project with every feature, whose files tests must not change."""
    baked = bake()
    folder = once("full", lambda folder: install(copied(baked, folder)))
    return Project(folder / baked.path.name, baked.answers)


@pytest.fixture(scope="session")
def repository(once: Once) -> Path:
    """The template of the work tree, with uncommitted changes, as one commit."""
    return once("template", lambda folder: commit_template(folder / "repository")) / "repository"


@pytest.fixture(scope="session")
def built(once: Once) -> Path:
    """Build the documentation, once."""
    build = (sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", ROOT / "docs")
    return once("docs", lambda folder: run(*build, folder, cwd=ROOT))


def install(project: Project, python: str = sys.executable) -> None:
    """Install like ``make install``, but without a lock file and in a few seconds."""
    manifest = project.path / "pyproject.toml"
    packages = ("--requirements", manifest, "--group", f"{manifest}:dev")
    environment(project.path / ".venv", *packages, "--editable", project.path, python=python)
    (project.path / ".venv/.complete").touch()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Path:
    """Work in an empty folder, as a user who has configured nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("MVC_TEMPLATE", str(repository))
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def mvc(home: Path) -> Mvc:
    def mvc(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [MVC, *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    return mvc


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services of a project; those still running are killed after the test."""
    services: list[Service] = []

    def serve(project: Project, *arguments: str, **variables: str) -> Service:
        package = project.answers["package_name"]
        folder = str(tmp_path)
        service = Service.of(project.python, package, *arguments, cwd=folder, **variables)
        services.append(service)
        return services[-1]

    yield serve
    for service in services:
        service.kill()


@pytest.fixture
def planets(
    request: pytest.FixtureRequest, full: Project, serve: Serve, tmp_path: Path
) -> Callable[..., Service]:
    """Serve the project with the CONTROLLER of the test module, one worker and long timeouts."""
    path = with_controller(full, tmp_path, request.module.CONTROLLER)
    defaults = {**PATIENT, "FASTAPI_WORKERS": "1"}

    def planets(**variables: str) -> Service:
        service = serve(full, **path, **defaults | variables)
        wait_until(service.answers)
        return service

    return planets


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[StartRedis]:
    """Start Redis servers and Sentinels; those still running are killed after the test."""
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server")
    servers: list[RedisServer] = []

    def redis_server(*lines: str, sentinel: bool = False, tls: Path | None = None) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *lines, sentinel=sentinel, tls=tls))
        servers[-1].start()
        return servers[-1]

    yield redis_server
    for server in servers:
        server.kill()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """Start nginx with a location; return its port."""
    # Debian installs it in a folder that is not on every PATH.
    tool = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not tool:
        pytest.skip("nginx is not installed")
    processes: list[subprocess.Popen[bytes]] = []

    def nginx(location: str) -> int:
        port = free_port()
        file = tmp_path / "nginx.conf"
        file.write_text(NGINX % (port, location))
        processes.append(subprocess.Popen([tool, "-p", tmp_path, "-e", "stderr", "-c", file]))
        wait_until(lambda: listens(HTTPConnection("127.0.0.1", port)))
        return port

    yield nginx
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser installed on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        # Its sandbox refuses to run as root, as tests in containers do.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def executed(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Record for the summary that a verb was run for a combination."""

    def executed(answers: dict[str, Any], verb: str) -> None:
        record_property(EXECUTED, (label(answers), verb))

    return executed


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print which verbs were executed for which combinations."""
    table: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == EXECUTED:
                table[value[0]].append(value[1])
    if table:
        terminalreporter.section("executed")
    for combination, verbs in sorted(table.items()):
        terminalreporter.write_line(f"{combination}: {', '.join(verbs)}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail if tests were skipped and ``--no-skips`` was given."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = bool(reporter and reporter.stats.get("skipped"))
    if skipped and session.config.getoption("--no-skips") and not exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
