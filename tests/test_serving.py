"""Real services under signals, under load, and behind proxies."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
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
from urllib.parse import unquote

import pytest
from conftest import Nginx, Serve
from support import (
    SECONDS,
    Project,
    Service,
    UnixConnection,
    add_controller,
    free_port,
    listens,
    wait_until,
)

pytestmark = pytest.mark.slow

CLIENT = "127.0.0.2"
CLIENTS = 32
FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

PROBE = '''
"""Lets the tests inspect the service."""

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
    """A project with routes for the tests, whose code can be changed."""

    @property
    def journal(self) -> Path:
        """The file in which the service logs its events."""
        return self.path / "journal"

    def events(self) -> list[str]:
        """Return the events that the service has logged."""
        return self.journal.read_text().splitlines()

    def begun(self) -> set[int]:
        """Return the numbers of the requests that the service has started to handle."""
        return {int(event.split()[1]) for event in self.events() if event.startswith("begun")}

    def change(self) -> None:
        """Change the answer of ``/api/echo``."""
        (self.package / "app/controllers/probe.py").write_text(PROBE.replace("old", "changed"))


@pytest.fixture
def probed(full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probed:
    copy = Probed(tmp_path / "probed", full.answers)
    shutil.copytree(full.path, copy.path, ignore=shutil.ignore_patterns(".venv"))
    (copy.path / ".venv").symlink_to(full.path / ".venv")
    # Import it instead of the project for which the shared environment was made.
    monkeypatch.setenv("PYTHONPATH", str(copy.path))
    monkeypatch.setenv("JOURNAL", str(copy.journal))
    copy.journal.touch()
    add_controller(copy.package, "probe", PROBE)
    with (copy.package / "app/lifespan.py").open("a") as file:
        # Below the lists, where the controllers that use them can be imported.
        file.write("\nfrom .controllers import probe\n")
        file.write("LIFESPANS.append(probe.probe)\n")
    return copy


def client(port: int) -> HTTPConnection:
    """Return a connection from an address that no proxy and no service uses."""
    return HTTPConnection("127.0.0.1", port, SECONDS, source_address=(CLIENT, 0))


def ask(
    connection: HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, Any]:
    """Return the response, and its body, decoded if it is JSON."""
    with closing(connection):
        connection.request(method, path, headers={"Host": "empire.example", **headers})
        response = connection.getresponse()
        body = response.read().decode()
    is_json = response.headers["Content-Type"] == "application/json"
    return response, json.loads(body) if is_json else body


def keeps(connection: HTTPConnection) -> bool:
    """Send a request; return whether the server keeps the connection alive."""
    connection.request("GET", "/api/live")
    response = connection.getresponse()
    assert response.read() == b'{"status":"ok"}'
    return not response.will_close


def processes(word: str) -> set[int]:
    """Return the PIDs of processes with ``word`` in their command lines."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        # A process can end at any time.
        with suppress(OSError):
            if word.encode() in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
    return found


@dataclass
class Load:
    """Clients that send one request after the other, each on a persistent connection."""

    port: int
    seconds: float
    numbers: Iterator[int] = field(default_factory=count)
    answered: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    enough: Event = field(default_factory=Event)

    def run(self) -> None:
        """Send requests, as one client, until ``enough`` is set or nothing listens."""
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
                    # Closed before the first byte of an answer, as can happen when idle.
                    self.unanswered.add(number)
                    connection.close()
                else:
                    # This raises if the answer is truncated.
                    assert int(response.read()) == number
                    self.answered.add(number)


@contextmanager
def load(service: Service, seconds: float) -> Iterator[Load]:
    """Put a service under load; fail if a client received a wrong or truncated answer."""
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
def test_stop_answers_requests_in_progress(probed: Probed, serve: Serve, seconds: int) -> None:
    service = serve(probed, "--workers", "2")
    wait_until(lambda: probed.events() == ["opened"] * 2)

    with load(service, seconds) as clients:
        wait_until(lambda: len(probed.begun()) > 3 * CLIENTS)
        assert service.stop() == 0

    assert probed.begun() == clients.answered
    assert probed.events().count("closed") == 2


@pytest.mark.parametrize("seconds", [0, 1])
def test_reload_answers_requests_in_progress_and_serves_changed_code(
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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_worker_is_replaced_after_max_requests_without_loss(
    probed: Probed, serve: Serve, workers: str
) -> None:
    service = serve(probed, "--workers", workers, FASTAPI_MAX_REQUESTS="100")
    wait_until(lambda: probed.events() == ["opened"] * int(workers))

    with load(service, 0) as clients:
        wait_until(lambda: probed.events().count("closed") >= 4)
        clients.enough.set()

    assert probed.begun() == clients.answered
    assert not clients.unanswered
    assert not clients.refused
    wait_until(lambda: len(service.workers()) == int(workers))
    assert service.stop() == 0


def test_worker_finishes_long_requests_after_max_requests(probed: Probed, serve: Serve) -> None:
    # gunicorn kills a worker without a heartbeat for this long.
    settings = {"FASTAPI_MAX_REQUESTS": "1", "FASTAPI_WORKER_TIMEOUT": "2"}
    service = serve(probed, "--workers", "1", FASTAPI_DRAIN_TIMEOUT="0", **settings)
    wait_until(lambda: probed.events() == ["opened"])
    with closing(client(service.port)) as connection:
        connection.request("GET", "/api/job/1?seconds=8")
        wait_until(lambda: probed.begun() == {1})
        assert ask(client(service.port), "/api/live")[0].status == 200

        assert int(connection.getresponse().read()) == 1

    wait_until(lambda: probed.events().count("closed") == 1)


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


def test_unused_idle_connection_ends_with_the_drain(full: Project, serve: Serve) -> None:
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
        # Meanwhile uvicorn replaces the default headers of its answers.
        sleep(1.5)
        service.process.send_signal(signal.SIGTERM)

        assert connection.getresponse().will_close


def test_stalled_upload_does_not_keep_the_clients_open(probed: Probed, serve: Serve) -> None:
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
        ("FASTAPI_BIND", {}, ["--bind", "nowhere.invalid"]),
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


def test_daemon_runs_until_it_is_stopped(full: Project, serve: Serve, tmp_path: Path) -> None:
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
        # A daemon is no longer in the process group that the fixture kills.
        for process in processes(address):
            os.kill(process, signal.SIGKILL)


def publish(
    project: Project,
    serve: Serve,
    nginx: Nginx,
    bind: str,
    stripped: bool,
    prefix: str = "/empire",
    **variables: str,
) -> int:
    """Put a service behind nginx as in docs/serving.md; return the port of nginx."""
    port, path = free_port(), project.path / "http.sock"
    connection = UnixConnection(path) if bind == "unix" else client(port)
    address = f"unix:{path}" if bind == "unix" else f"127.0.0.1:{port}"
    options = ("--bind", f"[::]:{port}" if bind == "dual" else address, "--workers", "1")
    serve(project, *options, FASTAPI_ROOT_PATH=prefix, **variables)
    wait_until(lambda: listens(connection))

    page = (project.path / "docs/serving.md").read_text("utf-8")
    match = re.search(r"^```nginx\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    assert match
    end = "" if not stripped else ":/" if bind == "unix" else "/"
    location, lines = re.subn(r"proxy_pass .+;", f"proxy_pass http://{address}{end};", match[1])
    assert lines == 1
    # nginx compares decoded paths.
    location = location.replace("/shop/", f'"{unquote(prefix)}/"')
    # Tests have no certificate, but nginx pretends to serve HTTPS.
    return nginx(location.replace("$scheme", "https"))


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped", "whole"])
@pytest.mark.parametrize("bind", ["tcp", "unix", "dual"])
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


# Prefixes with characters that are percent-encoded in a URL, and their encoded form. An
# encoded percent sign reveals a prefix that is decoded twice.
PREFIXES = {
    "/the%20empire": "/the%20empire",
    "/%C3%A9mpire/b%25c": "/%C3%A9mpire/b%25c",
    "/émpire's": "/%C3%A9mpire%27s",
    "/em%70ire/%2520": "/em%70ire/%2520",
}
MOUNTED = """
    from fastapi import FastAPI, Request

    mounted = FastAPI()

    @mounted.get("/links")
    async def links(request: Request) -> list[str]:
        return [str(request.url_for("job", number=1)), str(request.url)]

    app.mount("/mounted", mounted)
"""


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped", "whole"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefix_is_percent_encoded_in_every_url(
    probed: Probed, serve: Serve, nginx: Nginx, prefix: str, stripped: bool
) -> None:
    with (probed.package / "app/router.py").open("a") as file:
        file.write(MOUNTED)
    port = publish(probed, serve, nginx, "tcp", stripped, prefix)
    path = PREFIXES[prefix]
    url = f"https://empire.example{path}"

    assert ask(client(port), f"{path}/api/echo")[1]["url"] == f"{url}/api/echo"
    assert ask(client(port), f"{path}/api/echo")[1]["base"] == f"{url}/"
    assert ask(client(port), f"{path}/mounted/links")[1] == [
        f"{url}/api/job/1",
        f"{url}/mounted/links",
    ]
    response, _ = ask(client(port), f"{path}/api/live/")
    assert response.headers["Location"] == f"{url}/api/live"
    for part in ("", "/mounted"):
        assert f"'{path}{part}/openapi.json'" in ask(client(port), f"{path}{part}/docs")[1]
        schema = ask(client(port), f"{path}{part}/openapi.json")[1]
        assert schema["servers"] == [{"url": f"{path}{part}"}]


def test_url_of_the_documentation_can_be_percent_encoded(full: Project, serve: Serve) -> None:
    service = serve(full, FASTAPI_DOCS_URL="/the%20docs")
    wait_until(service.answers)

    assert service.get("/the%20docs")[0] == 200


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped", "whole"])
def test_errors_and_redirects_pass_nginx(
    full: Project, serve: Serve, nginx: Nginx, stripped: bool
) -> None:
    port = publish(full, serve, nginx, "tcp", stripped)

    response, body = ask(client(port), "/empire/nowhere")
    assert response.status == 404
    assert body == {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}

    response, body = ask(client(port), "/empire/api/live", "POST")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    assert body["error"]["status"] == "METHOD_NOT_ALLOWED"

    response, _ = ask(client(port), "/empire/api/live/")
    assert response.status == 307
    assert response.headers["Location"] == "https://empire.example/empire/api/live"


def test_untrusted_proxy_is_the_client(probed: Probed, serve: Serve, nginx: Nginx) -> None:
    trusted = {"FASTAPI_FORWARDED_ALLOW_IPS": "192.0.2.1"}
    port = publish(probed, serve, nginx, "tcp", True, **trusted)

    seen = ask(client(port), "/empire/api/echo")[1]

    assert seen["client"] == "127.0.0.1"
    assert seen["base"] == "http://empire.example/empire/"


def test_client_that_is_not_a_proxy_is_not_trusted(probed: Probed, serve: Serve) -> None:
    service = serve(probed)
    wait_until(service.answers)

    seen = ask(client(service.port), "/api/echo", **FORGED)[1]

    assert seen["client"] == CLIENT
    assert seen["base"] == "http://empire.example/"


# X-Forwarded-For of a trusted proxy, and the resulting client.
FORWARDED = {
    "203.0.113.9, ::ffff:203.0.113.7": "203.0.113.7",
    "203.0.113.7, ::ffff:127.0.0.1": "203.0.113.7",
    "203.0.113.7, [::ffff:127.0.0.1]": "203.0.113.7",
    "203.0.113.7,[::ffff:127.0.0.1]:5000": "203.0.113.7",
    "203.0.113.9, [::ffff:203.0.113.7]:5000": "203.0.113.7",
    "203.0.113.9, ::FFFF:cb00:7107, 0:0:0:0:0:ffff:7f00:1": "203.0.113.7",
    "203.0.113.9, 2001:db8::7": "2001:db8::7",
    "203.0.113.9, unknown": "unknown",
}


def test_address_of_ipv4_in_ipv6_is_the_ipv4_address(probed: Probed, serve: Serve) -> None:
    port = free_port()
    # Users had to write it like this when a proxy was not recognized by its IPv4 address.
    trusted = {"FASTAPI_FORWARDED_ALLOW_IPS": "::ffff:127.0.0.1"}
    serve(probed, "--bind", f"[::]:{port}", **trusted)
    wait_until(lambda: listens(client(port)))

    assert ask(client(port), "/api/echo", **FORGED)[1]["client"] == CLIENT
    for entries, expected in FORWARDED.items():
        connection = HTTPConnection("127.0.0.1", port, SECONDS)
        seen = ask(connection, "/api/echo", **{"X-Forwarded-For": entries})[1]
        assert seen["client"] == expected, entries
    connection = HTTPConnection("::1", port, SECONDS)
    assert ask(connection, "/api/echo", **FORGED)[1]["client"] == "::1"


def test_all_proxies_are_trusted_on_a_unix_socket_too(probed: Probed, serve: Serve) -> None:
    path = probed.path / "http.sock"
    serve(probed, "--bind", f"unix:{path}", FASTAPI_FORWARDED_ALLOW_IPS="*")
    wait_until(lambda: listens(UnixConnection(path)))

    chain = {"X-Forwarded-For": "203.0.113.9, 203.0.113.7"}
    assert ask(UnixConnection(path), "/api/echo", **chain)[1]["client"] == "203.0.113.9"


# Passes sockets to a service as systemd does.
ACTIVATE = """
import os, socket, sys
port, path, *command = sys.argv[1:]
inet = socket.create_server(("127.0.0.1", int(port)))
unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
unix.bind(path)
abstract.bind("\\0" + path)
os.dup2(os.open(os.devnull, os.O_RDONLY), 9)
for number, listener in enumerate((inet, unix, abstract), 20):
    listener.listen()
    os.dup2(listener.fileno(), number)
for number in range(3):
    os.dup2(20 + number, 3 + number)
os.environ.update(LISTEN_FDS="3", LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def test_sockets_of_systemd_are_distinguished(probed: Probed) -> None:
    port, path = free_port(), str(probed.path / "http.sock")
    activate = (sys.executable, "-c", ACTIVATE, str(port), path)
    # The service does not listen on its configured address.
    settings = {"FASTAPI_BIND": "127.0.0.1:1", "FASTAPI_FORWARDED_ALLOW_IPS": "192.0.2.1"}
    command = (*activate, str(probed.python), "-m", probed.package.name, "serve")
    service = Service(command, port, settings, probed.path)
    try:
        wait_until(service.answers)

        assert ask(client(port), "/api/echo", **FORGED)[1]["client"] == CLIENT
        for name in (path, f"\0{path}"):
            seen = ask(UnixConnection(name), "/api/echo", **FORGED)[1]
            assert seen["client"] == FORGED["X-Forwarded-For"]
            assert seen["base"] == "https://empire.example/"
        assert service.stop() == 0
        assert Path(path).exists(), "the socket belongs to systemd"
    finally:
        service.kill()


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
    """Return the version of the code that answers, or None if nothing does."""
    with suppress(OSError):
        return str(ask(client(port), "/api/echo")[1]["code"])
    return None
