"""What is served survives signals, load and proxies; real processes, no mocks."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import pytest
from conftest import Nginx, Serve
from support import SECONDS, Project, Service, add_controller, free_port, wait_until

pytestmark = pytest.mark.slow

CLIENT = "127.0.0.2"
CLIENTS = 32
FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

PROBE = '''
"""Lets the tests look into the service."""

import asyncio
import os
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request, Response

router = APIRouter()


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        journal.write(event + "\\n")


@asynccontextmanager
async def probe():
    note("opened")
    yield
    note("closed")


@router.get("/job/{number}")
async def job(number: int, seconds: float) -> Response:
    note(f"begun {number}")
    await asyncio.sleep(seconds)
    return Response(f"{number:50000}")


@router.post("/upload")
async def upload(request: Request) -> int:
    note("begun 0")
    return len(await request.body())


@router.get("/echo")
async def echo(request: Request) -> dict[str, str]:
    return {
        "client": request.client.host,
        "url": str(request.url),
        "base": str(request.base_url),
        "code": "old",
    }
'''


@dataclass(frozen=True)
class Probed(Project):
    """A project with routes for the tests, whose code a test may change."""

    @property
    def journal(self) -> Path:
        """Where the service notes what it does."""
        return self.path / "journal"

    def events(self) -> list[str]:
        """Return what the service has noted."""
        return self.journal.read_text().splitlines()

    def begun(self) -> set[int]:
        """Return the numbers of the requests that the service has begun."""
        return {int(event.split()[1]) for event in self.events() if event.startswith("begun")}

    def change(self) -> None:
        """Change what ``/api/echo`` answers."""
        (self.package / "app/controllers/probe.py").write_text(PROBE.replace("old", "changed"))


@pytest.fixture
def probed(full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probed:
    copy = Probed(tmp_path / "probed", full.answers)
    shutil.copytree(full.path, copy.path, ignore=shutil.ignore_patterns(".venv"))
    (copy.path / ".venv").symlink_to(full.path / ".venv")
    # Before the project for which the shared environment was made.
    monkeypatch.setenv("PYTHONPATH", str(copy.path))
    monkeypatch.setenv("JOURNAL", str(copy.journal))
    copy.journal.touch()
    add_controller(copy.package, "probe", PROBE)
    with (copy.package / "app/lifespan.py").open("a") as file:
        # Below the lists, where the controllers that use them can be imported.
        file.write("\nfrom .controllers import probe\n")
        file.write("LIFESPANS.append(probe.probe)\n")
    return copy


class UnixConnection(HTTPConnection):
    """A connection to a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self.path))


def client(port: int) -> HTTPConnection:
    """Return a connection from an address that no proxy and no service has."""
    return HTTPConnection("127.0.0.1", port, SECONDS, source_address=(CLIENT, 0))


def ask(
    connection: HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, Any]:
    """Return the response, and its body as what its content type says."""
    with closing(connection):
        connection.request(method, path, headers={"Host": "empire.example", **headers})
        response = connection.getresponse()
        body = response.read().decode()
    is_json = response.headers["Content-Type"] == "application/json"
    return response, json.loads(body) if is_json else body


def keeps(connection: HTTPConnection) -> bool:
    """Ask for something; return whether the other side lets the connection be used again."""
    connection.request("GET", "/api/live")
    response = connection.getresponse()
    assert response.read() == b'{"status":"ok"}'
    return not response.will_close


def listens(connection: HTTPConnection) -> bool:
    """Return whether the other side accepts."""
    with suppress(OSError), closing(connection):
        connection.connect()
        return True
    return False


def processes(word: str) -> set[int]:
    """Return the processes that run and have ``word`` in their command lines."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end at any time.
        with suppress(OSError):
            if word.encode() in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
    return found


@dataclass
class Load:
    """Clients that ask again and again, each on a connection that it keeps alive."""

    port: int
    seconds: float
    numbers: Iterator[int] = field(default_factory=count)
    answered: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    enough: Event = field(default_factory=Event)

    def run(self) -> None:
        """Ask, as one client, until there is enough or nothing listens."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            while not self.enough.is_set():
                number = next(self.numbers)
                try:
                    connection.request("GET", f"/api/job/{number}?seconds={self.seconds}")
                    response = connection.getresponse()
                except ConnectionRefusedError:
                    self.refused.add(number)
                    return
                except ConnectionError:
                    # Closed before the first byte of an answer, as idle connections are.
                    self.unanswered.add(number)
                    connection.close()
                else:
                    # An answer that is cut short raises here.
                    assert int(response.read()) == number
                    self.answered.add(number)


@contextmanager
def load(service: Service, seconds: float) -> Iterator[Load]:
    """Put a service under load; fail if a client met what it must not meet."""
    load = Load(service.port, seconds)
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(load.run) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            load.enough.set()
    for run in running:
        run.result()


@pytest.mark.parametrize("seconds", [0, 1])
def test_stop_answers_what_was_begun(probed: Probed, serve: Serve, seconds: int) -> None:
    service = serve(probed, "--workers", "2")
    wait_until(lambda: probed.events() == ["opened"] * 2)

    with load(service, seconds) as clients:
        wait_until(lambda: len(probed.begun()) > 3 * CLIENTS)
        assert service.stop() == 0

    assert probed.begun() == clients.answered
    assert probed.events().count("closed") == 2


@pytest.mark.parametrize("seconds", [0, 1])
def test_reload_answers_what_was_begun_and_serves_changed_code(
    probed: Probed, serve: Serve, seconds: int
) -> None:
    service = serve(probed, "--workers", "2")
    wait_until(lambda: probed.events() == ["opened"] * 2)
    old = service.workers()

    with load(service, seconds) as clients:
        wait_until(lambda: len(probed.begun()) > 3 * CLIENTS)
        probed.change()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & service.workers())
        assert code(service.port) == "changed"

    assert len(service.workers()) == 2
    assert probed.begun() == clients.answered
    assert not clients.unanswered
    assert not clients.refused
    assert probed.events().count("closed") == 2
    assert service.stop() == 0


def test_idle_connection_is_ended_by_its_next_answer(probed: Probed, serve: Serve) -> None:
    service = serve(probed, "--workers", "1")
    wait_until(service.answers)
    with closing(client(service.port)) as connection:
        assert keeps(connection)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(client(service.port)))

        assert not keeps(connection)

    assert service.process.wait(SECONDS) == 0
    assert probed.events() == ["opened", "closed"]


def test_idle_connection_that_is_not_used_ends_with_the_drain(full: Project, serve: Serve) -> None:
    service = serve(full, FASTAPI_DRAIN_TIMEOUT="1")
    wait_until(service.answers)
    with closing(client(service.port)) as connection:
        assert keeps(connection)

        assert service.stop() == 0
        assert connection.sock.recv(1) == b""


def test_long_request_ends_its_connection(probed: Probed, serve: Serve) -> None:
    service = serve(probed, "--workers", "1")
    wait_until(service.answers)
    with closing(client(service.port)) as connection:
        connection.request("GET", "/api/job/1?seconds=3")
        wait_until(lambda: probed.begun() == {1})
        # Meanwhile uvicorn renews the headers of its answers.
        sleep(1.5)
        service.process.send_signal(signal.SIGTERM)

        assert connection.getresponse().will_close


def test_upload_that_stalls_does_not_keep_the_clients_open(probed: Probed, serve: Serve) -> None:
    service = serve(probed, "--workers", "1", FASTAPI_GRACEFUL_TIMEOUT="4")
    wait_until(service.answers)
    with closing(client(service.port)) as connection:
        connection.putrequest("POST", "/api/upload")
        connection.putheader("Content-Length", "10")
        connection.endheaders(b"123")
        wait_until(lambda: probed.begun() == {0})

        assert service.stop() == 0

    assert probed.events() == ["opened", "begun 0", "closed"]


@pytest.mark.parametrize("last", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("first", [None, signal.SIGTERM])
def test_stop_without_delay_closes_the_clients(
    probed: Probed, serve: Serve, first: signal.Signals | None, last: signal.Signals
) -> None:
    patient = dict.fromkeys(("FASTAPI_GRACEFUL_TIMEOUT", "FASTAPI_DRAIN_TIMEOUT"), f"{4 * SECONDS}")
    service = serve(probed, "--workers", "2", **patient)
    wait_until(lambda: probed.events() == ["opened"] * 2)
    with closing(client(service.port)) as connection:
        assert keeps(connection)
        if first:
            service.process.send_signal(first)
            wait_until(lambda: not listens(client(service.port)))

        service.process.send_signal(last)

        assert service.process.wait(SECONDS) == 0
    assert probed.events() == ["opened"] * 2 + ["closed"] * 2


@pytest.mark.parametrize(
    ("variable", "variables", "arguments"),
    [
        ("FASTAPI_WORKERS", {"FASTAPI_WORKERS": "zero"}, []),
        ("FASTAPI_WORKER_CLASS", {"FASTAPI_WORKER_CLASS": "nonsense"}, []),
        ("FASTAPI_BIND", {}, ["--bind", "nowhere"]),
        ("FASTAPI_BIND", {}, ["--bind", "127.0.0.1:65536"]),
    ],
)
def test_bad_setting_is_one_line(
    full: Project, variable: str, variables: dict[str, str], arguments: list[str]
) -> None:
    done = subprocess.run(
        [full.python.with_name(full.answers["project_slug"]), "serve", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {variable}=")
    assert len(done.stderr.splitlines()) == 1


def test_unix_socket_answers(full: Project, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    service = serve(full, "--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))

    response, body = ask(UnixConnection(path), "/api/ready")

    assert (response.status, body) == (200, {"status": "ok"})
    assert service.stop() == 0
    assert not path.exists()


def test_daemon_runs_until_it_is_told_to_stop(full: Project, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    address = f"127.0.0.1:{(port := free_port())}"
    options = ("--daemon", "--bind", address, "--pid", str(file))
    launcher = serve(full, *options, "--workers", "3", "--env", "FASTAPI_VERSION=9.8.7")
    try:
        assert launcher.process.wait(SECONDS) == 0
        wait_until(lambda: listens(client(port)) and file.exists())
        master = int(file.read_text())

        assert ask(client(port), "/openapi.json")[1]["info"]["version"] == "9.8.7"
        wait_until(lambda: len(processes(address) - {master}) == 3)

        os.kill(master, signal.SIGTERM)
        wait_until(lambda: not processes(address))
        assert not file.exists()
    finally:
        # A daemon has left the group of processes that the fixture ends.
        for process in processes(address):
            os.kill(process, signal.SIGKILL)


def publish(
    project: Project, serve: Serve, nginx: Nginx, bind: str, stripped: bool, **variables: str
) -> int:
    """Put a service behind nginx as docs/serving.md says; return the port of nginx."""
    port, path = free_port(), project.path / "http.sock"
    connection = client(port) if bind == "tcp" else UnixConnection(path)
    address = f"127.0.0.1:{port}" if bind == "tcp" else f"unix:{path}"
    options = ("--bind", address, "--workers", "1")
    serve(project, *options, FASTAPI_ROOT_PATH="/empire", **variables)
    wait_until(lambda: listens(connection))

    page = (project.path / "docs/serving.md").read_text("utf-8")
    match = re.search(r"^```nginx\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    assert match
    end = {"tcp": "/", "unix": ":/"}[bind] if stripped else ""
    location, lines = re.subn(r"proxy_pass .+;", f"proxy_pass http://{address}{end};", match[1])
    assert lines == 1
    # Tests have no certificate; nginx says what it would say if it had one.
    return nginx(location.replace("$scheme", "https"))


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped", "whole"])
@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_service_behind_nginx_knows_its_clients_and_its_prefix(
    probed: Probed, serve: Serve, nginx: Nginx, bind: str, stripped: bool
) -> None:
    port = publish(probed, serve, nginx, bind, stripped)
    seen = {
        "client": CLIENT,
        "url": "https://empire.example/empire/api/echo",
        "base": "https://empire.example/empire/",
        "code": "old",
    }

    assert ask(client(port), "/empire/api/echo")[1] == seen
    assert ask(client(port), "/empire/api/echo", **FORGED)[1] == seen
    assert "'/empire/openapi.json'" in ask(client(port), "/empire/docs")[1]
    schema = ask(client(port), "/empire/openapi.json")[1]
    assert schema["servers"] == [{"url": "/empire"}]


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped", "whole"])
def test_errors_and_redirects_pass_nginx(
    full: Project, serve: Serve, nginx: Nginx, stripped: bool
) -> None:
    port = publish(full, serve, nginx, "tcp", stripped)

    response, body = ask(client(port), "/empire/nowhere")
    assert response.status == 404
    assert body == {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}

    response, body = ask(client(port), "/empire/api/live", "POST")
    assert (response.status, response.headers["Allow"]) == (405, "GET")
    assert body["error"]["status"] == "METHOD_NOT_ALLOWED"

    response, _ = ask(client(port), "/empire/api/live/")
    assert response.status == 307
    assert response.headers["Location"] == "https://empire.example/empire/api/live"


def test_proxy_that_is_not_trusted_is_the_client(
    probed: Probed, serve: Serve, nginx: Nginx
) -> None:
    trusted = {"FASTAPI_FORWARDED_ALLOW_IPS": "192.0.2.1"}
    port = publish(probed, serve, nginx, "tcp", True, **trusted)

    seen = ask(client(port), "/empire/api/echo")[1]

    assert seen["client"] == "127.0.0.1"
    assert seen["base"] == "http://empire.example/empire/"


def test_client_that_is_no_proxy_is_not_believed(probed: Probed, serve: Serve) -> None:
    service = serve(probed)
    wait_until(service.answers)

    seen = ask(client(service.port), "/api/echo", **FORGED)[1]

    assert seen["client"] == CLIENT
    assert seen["base"] == "http://empire.example/"


def test_run_reloads_changed_code(probed: Probed) -> None:
    port = free_port()
    command = ["make", "run", f"PORT={port}"]
    make = subprocess.Popen(command, cwd=probed.path, start_new_session=True)
    try:
        wait_until(lambda: code(port) == "old")
        probed.change()
        wait_until(lambda: code(port) == "changed")
    finally:
        os.killpg(make.pid, signal.SIGKILL)
        make.wait()


def code(port: int) -> str | None:
    """Return which code answers, if any."""
    with suppress(OSError):
        return str(ask(client(port), "/api/echo")[1]["code"])
    return None
