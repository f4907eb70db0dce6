"""The master starts, stops and is replaced as service managers expect."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import Serve
from stress.outage import with_mounts
from support import (
    OK,
    SECONDS,
    Project,
    Server,
    Service,
    UnixConnection,
    free_port,
    listens,
    wait_until,
    with_controller,
)

pytestmark = pytest.mark.slow

Start = Callable[..., Service]
SLOW = """
import asyncio
import os
from pathlib import Path

from fastapi import APIRouter

router = APIRouter()

@router.get("/planets")
async def get_planets(seconds: float = 0) -> int:
    Path(os.environ["BEGUN"]).touch()
    await asyncio.sleep(seconds)
    return os.getpid()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The standard error of all services of a test."""
    file = tmp_path / "log"
    file.touch()
    return file


@pytest.fixture
def start(full: Project, log: Path) -> Iterator[Start]:
    """Start services, after an optional shell command, with their standard error in the log."""
    services: list[Service] = []

    def start(*arguments: str | Path, shell: str = "", **variables: str) -> Service:
        port = free_port()
        binding = () if "--bind" in arguments else ("--bind", f"127.0.0.1:{port}")
        command = (full.python, "-m", full.package.name, "serve", *binding, *arguments)
        script = f'{shell or ":"} && exec "$@" 2>> "$LOG"'
        wrapped = (*(with_mounts() if shell else ()), "sh", "-c", script, "sh", *command)
        services.append(Service(wrapped, port, {"LOG": str(log), **variables}, log.parent))
        return services[-1]

    yield start
    for service in services:
        service.kill()


def get(connection: HTTPConnection, path: str = "/api/live") -> tuple[int, str]:
    with closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def refusal(project: Project, *arguments: str | Path, **variables: str) -> str:
    """Try to start a service, which must fail; return the only line of its output."""
    command = [project.python, "-m", project.package.name, "serve", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    [line] = done.stderr.splitlines()
    return line


def runs(process: int) -> bool:
    """Return whether a process is running and is not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("options", [(), ("--daemon",)], ids=["here", "daemon"])
def test_socket_of_another_process_is_refused(
    full: Project, start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "http.sock"
    service = start("--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))

    line = refusal(full, "--bind", f"unix:{path}", *options)

    assert line.startswith(f"Error: FASTAPI_BIND='unix:{path}': another process answers there")
    assert get(UnixConnection(path)) == OK
    assert service.stop() == 0
    assert not path.exists()


def test_socket_whose_queue_is_full_is_refused(full: Project, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(path))
        listener.listen(0)
        waiting.connect(str(path))

        assert "another process answers" in refusal(full, "--bind", f"unix:{path}")


def test_stale_socket_is_replaced(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    first = start("--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))
    first.kill()
    wait_until(lambda: not listens(UnixConnection(path)))
    assert path.is_socket()

    second = start("--bind", f"unix:{path}")

    wait_until(lambda: listens(UnixConnection(path)))
    assert get(UnixConnection(path)) == OK
    assert second.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_leaves_the_socket_of_another_process(
    start: Start, tmp_path: Path, last: signal.Signals
) -> None:
    path = tmp_path / "http.sock"
    first = start("--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))
    path.unlink()
    second = start("--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))

    first.process.send_signal(last)
    assert first.process.wait(SECONDS) == 0

    assert get(UnixConnection(path)) == OK
    assert second.stop() == 0
    assert not path.exists()


def test_stop_needs_no_socket_file(start: Start, tmp_path: Path, log: Path) -> None:
    path = tmp_path / "http.sock"
    service = start("--bind", f"unix:{path}")
    wait_until(lambda: listens(UnixConnection(path)))
    path.unlink()

    assert service.stop() == 0

    assert "Traceback" not in log.read_text()


def test_failure_to_create_the_socket_is_one_sentence(full: Project, tmp_path: Path) -> None:
    reasons = {
        tmp_path / "missing/http.sock": "No such file or directory",
        full.python / "http.sock": "Not a directory",
        Path("/proc/http.sock"): "No such file or directory",
        tmp_path / ("x" * 200): "AF_UNIX path too long",
    }
    for path, reason in reasons.items():
        line = refusal(full, "--bind", f"unix:{path}")

        assert line == f"Error: FASTAPI_BIND='unix:{path}': {reason}."


@pytest.mark.parametrize("options", [(), ("--daemon",)], ids=["here", "daemon"])
def test_failure_to_write_the_pid_file_is_one_sentence(
    full: Project, tmp_path: Path, options: tuple[str, ...]
) -> None:
    reasons = {
        tmp_path / "missing/pid": "No such file or directory",
        full.python / "pid": "Not a directory",
        Path("/proc/pid"): "No such file or directory",
    }
    for path, reason in reasons.items():
        line = refusal(full, "--bind", f"127.0.0.1:{free_port()}", "--pid", path, *options)

        assert line == f"Error: `{path}` cannot be written: {reason}."


def test_missing_permission_for_the_pid_file_is_one_sentence(full: Project, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir(mode=0o555)
    # Root can write everywhere, unless it drops that capability.
    unprivileged = ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()
    if unprivileged and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    command = (*unprivileged, full.python, "-m", full.package.name, "serve")

    done = subprocess.run(
        [*command, "--bind", f"127.0.0.1:{free_port()}", "--pid", folder / "pid"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    assert done.returncode == 1
    assert done.stderr == f"Error: `{folder}/pid` cannot be written: Permission denied.\n"


@pytest.mark.parametrize("options", [(), ("--daemon",)], ids=["here", "daemon"])
def test_pid_file_of_a_running_process_is_one_sentence(
    full: Project, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / "pid"
    file.write_text(f"{os.getpid()}\n")

    line = refusal(full, "--bind", f"127.0.0.1:{free_port()}", "--pid", file, *options)

    assert line.startswith(f"Error: The process {os.getpid()} in `{file}` is running. ")
    assert file.read_text() == f"{os.getpid()}\n"


def test_pid_file_of_a_process_that_ended_is_replaced(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    ended = subprocess.Popen("true")
    ended.wait()
    file.write_text(f"{ended.pid}\n")

    service = start("--pid", file)

    wait_until(service.answers)
    assert file.read_text() == f"{service.process.pid}\n"
    assert service.stop() == 0
    assert not file.exists()


SHARED_MEMORY = {
    "read-only": "mount --types tmpfs --options ro none /dev/shm",
    "full": "mount --types tmpfs --options nr_inodes=1 none /dev/shm",
    "missing": 'mkdir "$DEV" && : > "$DEV/null" && mount --bind /dev/null "$DEV/null" '
    '&& mount --rbind "$DEV" /dev',
}


@pytest.mark.parametrize("state", SHARED_MEMORY)
def test_shared_memory_is_not_needed(start: Start, log: Path, tmp_path: Path, state: str) -> None:
    if not with_mounts():
        pytest.skip("needs `unshare` with permission to mount")

    metrics = Server(free_port())
    bind = {"FASTAPI_METRICS_BIND": f"127.0.0.1:{metrics.port}"}
    service = start(shell=SHARED_MEMORY[state], DEV=str(tmp_path / "dev"), **bind)

    wait_until(service.answers)
    assert metrics.answers("/metrics")
    assert service.stop() == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("script", [False, True], ids=["module", "script"])
def test_master_is_replaced_on_usr2(
    full: Project, serve: Serve, tmp_path: Path, bind: str, script: bool
) -> None:
    port, path, file = free_port(), tmp_path / "http.sock", tmp_path / "pid"
    address = f"127.0.0.1:{port}" if bind == "tcp" else f"unix:{path}"

    def connection() -> HTTPConnection:
        return HTTPConnection("127.0.0.1", port) if bind == "tcp" else UnixConnection(path)

    start: list[str | Path] = [full.python, "-W", "default", "-m", full.package.name]
    if script:
        start = [full.python.with_name(full.answers["project_slug"])]
    service = Service([*start, "serve", "--bind", address, "--pid", file], port, {}, tmp_path)
    try:
        wait_until(lambda: listens(connection()) and file.exists())
        service.process.send_signal(signal.SIGUSR2)
        successor = Path(f"{file}.2")
        wait_until(lambda: successor.exists() and successor.read_text())
        new = int(successor.read_text())
        wait_until(lambda: len(children(new)) == 2)

        assert service.stop() == 0
        wait_until(lambda: file.exists() and file.read_text() == f"{new}\n")
        assert get(connection()) == OK
        assert len(children(new)) == 2

        os.kill(new, signal.SIGTERM)
        wait_until(lambda: not runs(new))
        assert not file.exists()
        assert not successor.exists()
        assert not path.exists()
    finally:
        service.kill()


def children(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except FileNotFoundError:
        return []


def test_workers_end_when_their_master_is_killed(
    full: Project, start: Start, tmp_path: Path, log: Path
) -> None:
    begun = tmp_path / "begun"
    service = start(BEGUN=str(begun), **with_controller(full, tmp_path, SLOW))
    wait_until(service.answers)
    wait_until(lambda: len(service.workers()) == 2)
    workers = service.workers()
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)) as connection:
        connection.request("GET", "/api/planets?seconds=2")
        wait_until(begun.exists)

        service.process.kill()
        service.process.wait()

        # Requests in progress are answered, as on SIGTERM.
        assert int(connection.getresponse().read()) in workers
    wait_until(lambda: not any(map(runs, workers)))
    assert "Traceback" not in log.read_text()
    assert not listens(HTTPConnection("127.0.0.1", service.port))


@pytest.mark.parametrize("sig", ["TERM", "HUP", "INT", "QUIT"])
@pytest.mark.parametrize(("bind", "reuse"), [("tcp", "false"), ("tcp", "true"), ("unix", "false")])
def test_stop_reports_no_error(
    start: Start, tmp_path: Path, log: Path, bind: str, sig: str, reuse: str
) -> None:
    port, path = free_port(), tmp_path / "http.sock"
    address = f"127.0.0.1:{port}" if bind == "tcp" else f"unix:{path}"
    service = start("--bind", address, FASTAPI_REUSE_PORT=reuse)
    wait_until(lambda: log.read_text().count("Application startup complete") == 2)
    old = service.workers()

    service.process.send_signal(signal.Signals[f"SIG{sig}"])
    if sig == "HUP":
        wait_until(lambda: log.read_text().count("Application startup complete") == 4)
        wait_until(lambda: not old & service.workers())
        assert service.stop() == 0
    else:
        assert service.process.wait(SECONDS) == 0

    text = log.read_text()
    assert text.count("Finished server process") == (4 if sig == "HUP" else 2)
    assert "Error while closing socket" not in text
    assert "[ERROR]" not in text
    assert "Traceback" not in text


def test_port_of_each_worker_gets_connections(
    full: Project, start: Start, tmp_path: Path, log: Path
) -> None:
    variables = with_controller(full, tmp_path, SLOW)
    service = start(BEGUN=os.devnull, FASTAPI_REUSE_PORT="true", **variables)
    wait_until(lambda: log.read_text().count("Application startup complete") == 2)

    # Each request has its own connection; they all reach one worker with probability 2^-99.
    served = {int(service.get("/api/planets")[1]) for _ in range(100)}

    assert served == service.workers()
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    listening = [row for row in table if row[3] == "0A" and row[1].endswith(f":{service.port:04X}")]
    assert len(listening) == 2
    assert service.stop() == 0


def test_port_of_another_process_is_one_sentence(full: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        line = refusal(full, "--bind", address, FASTAPI_REUSE_PORT="true")

    assert line == f"Error: FASTAPI_BIND='{address}': Address already in use."


def test_port_of_each_worker_survives_usr2(start: Start, log: Path) -> None:
    service = start(FASTAPI_REUSE_PORT="true")
    wait_until(service.answers)

    service.process.send_signal(signal.SIGUSR2)

    wait_until(lambda: "Error: FASTAPI_REUSE_PORT cannot be used with" in log.read_text())
    assert service.answers()
    assert "Traceback" not in log.read_text()
    assert service.stop() == 0


def test_empty_variables_are_ignored(full: Project, serve: Serve) -> None:
    service = serve(full, **dict.fromkeys(full.settings(), ""))
    wait_until(service.answers)

    assert service.get("/api/ready") == OK
    assert len(service.workers()) == 2
    # For this setting, empty has a meaning.
    assert service.get("/docs")[0] == 404
    assert service.stop() == 0


def test_host_without_a_port_is_served_at_port_8000(start: Start) -> None:
    # An address on which hardly anything else listens.
    service = start("--bind", "127.88.99.111", FASTAPI_GUNICORN_LOG_LEVEL="INFO")

    wait_until(lambda: listens(HTTPConnection("127.88.99.111", 8000)))

    assert get(HTTPConnection("127.88.99.111", 8000)) == OK
    assert service.stop() == 0
