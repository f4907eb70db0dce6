"""The service with a real PostgreSQL that stops, hangs, refuses and fails over."""

import json
import os
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from postgresql import (
    LOST,
    OWNER,
    PASSWORD,
    Empire,
    EmpireService,
    PgBouncer,
    PostgreSQL,
    ServeEmpire,
    running,
    serving,
    users_folder,
)
from support import OK, SECONDS, add_controller, wait_until

pytestmark = pytest.mark.slow

# A request can take twice the timeout, if a connection of the pool hangs; without a limit, a
# client would wait forever.
TIMEOUT = 3
LIMIT = 10 * TIMEOUT
POOL = {"FASTAPI_DATABASE_POOL_SIZE": "2", "FASTAPI_DATABASE_MAX_OVERFLOW": "0"}
JSON = {"Content-Type": "application/json"}

CONTROLLER = '''
"""Keeps connections in use for the tests."""

import asyncio

from fastapi import APIRouter
from sqlalchemy import text

from ..utils import Database

router = APIRouter(prefix="/outages")
released = asyncio.Event()
held: list[None] = []


@router.get("/statement")
async def statement(seconds: float) -> None:
    async with Database.transaction() as session:
        await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


@router.get("/wait")
async def wait() -> None:
    async with Database.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock_shared(42)"))


@router.get("/hold")
async def hold() -> None:
    async with Database.transaction() as session:
        await session.execute(text("SELECT 1"))
        held.append(None)
        await released.wait()
        held.pop()


@router.get("/held")
async def count() -> int:
    return len(held)


@router.get("/release")
async def release() -> None:
    released.set()
    released.clear()
'''


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgreSQL]:
    with running(max_connections=30) as server:
        yield server


@pytest.fixture
def server(fragile: PostgreSQL) -> Iterator[PostgreSQL]:
    """A server that a test can break; it is repaired afterwards."""
    yield fragile
    if fragile.process.poll() is None:
        fragile.resume()
    else:
        fragile.start()


@pytest.fixture(scope="module")
def outages(empire: Empire, tmp_path_factory: pytest.TempPathFactory) -> Empire:
    copy = empire.copy(tmp_path_factory.mktemp("outages"))
    add_controller(copy.package, "outages", CONTROLLER)
    return copy


@pytest.fixture(scope="module")
def services(
    outages: Empire, fragile: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, EmpireService]]:
    """A service with a short timeout and few connections, and one with a long timeout."""
    url = {"FASTAPI_DATABASE_URL": fragile.add("planets")}
    outages.migrate(**url)
    with serving(tmp_path_factory.mktemp("services")) as serve:
        hurried = serve(outages, **url, **POOL, FASTAPI_DATABASE_TIMEOUT=str(TIMEOUT))
        yield {"hurried": hurried, "patient": serve(outages, **url)}


@pytest.fixture
def hurried(services: dict[str, EmpireService], server: PostgreSQL) -> EmpireService:
    """The service with a short timeout, and with at least one pooled connection."""
    wait_until(lambda: works(services["hurried"]))
    return services["hurried"]


@pytest.fixture
def patient(services: dict[str, EmpireService], server: PostgreSQL) -> EmpireService:
    """The service with a long timeout, and with at least one pooled connection."""
    wait_until(lambda: works(services["patient"]))
    return services["patient"]


def works(service: EmpireService) -> bool:
    return service.answers("/api/planets") and service.answers("/api/ready")


def check_outage(service: EmpireService) -> None:
    """Check that concurrent requests get the answers of a service without a database."""
    paths = {"/api/planets": LOST, "/api/ready": LOST, "/api/live": OK}
    with ThreadPoolExecutor(len(paths)) as clients:
        answers = [clients.submit(service.get, path, LIMIT) for path in paths]
    assert [answer.result() for answer in answers] == [*paths.values()]


@contextmanager
def recovering(service: EmpireService) -> Iterator[None]:
    """Require the service to work again in the end, with the same workers."""
    before = service.workers()
    yield
    wait_until(lambda: works(service))
    assert service.workers() == before


@contextmanager
def in_use(service: EmpireService, connections: int) -> Iterator[None]:
    """Keep this number of connections of the pool in use."""
    with ThreadPoolExecutor(connections) as clients:
        path = "/api/outages/hold"
        answers = [clients.submit(service.get, path, 4 * SECONDS) for _ in range(connections)]
        try:
            wait_until(lambda: service.get("/api/outages/held")[1] == str(connections))
            yield
        finally:
            service.get("/api/outages/release")
    assert [answer.result() for answer in answers] == [(200, "null")] * connections


def test_restart_between_two_requests_is_not_noticed(
    patient: EmpireService, server: PostgreSQL
) -> None:
    with in_use(patient, 5):
        pass
    assert patient.get("/api/ready") == OK

    # All connections in the pool are stale afterwards.
    server.stop()
    server.start()
    with in_use(patient, 5):
        answers = [patient.get(path) for path in ("/api/planets", "/api/ready")]

    assert answers == [(200, "[]"), OK]
    assert [patient.get("/api/planets") for _ in range(10)] == [(200, "[]")] * 10


def test_stopped_server_is_a_502_until_it_is_back(
    hurried: EmpireService, server: PostgreSQL
) -> None:
    with recovering(hurried):
        server.stop()
        check_outage(hurried)
        server.start()


def test_killed_server_is_a_502_until_it_is_back(
    hurried: EmpireService, server: PostgreSQL
) -> None:
    with recovering(hurried):
        server.kill()
        check_outage(hurried)
        server.start()


def test_hung_server_is_a_502_within_the_timeout(
    hurried: EmpireService, server: PostgreSQL
) -> None:
    with recovering(hurried):
        server.hang()
        # First with a connection in the pool, then without.
        for _ in range(2):
            check_outage(hurried)
        server.resume()


def test_requests_to_a_hung_server_do_not_wait_for_each_other(
    hurried: EmpireService, server: PostgreSQL
) -> None:
    with recovering(hurried), ThreadPoolExecutor(20) as clients:
        server.hang()
        answers = [clients.submit(hurried.get, "/api/planets", LIMIT) for _ in range(20)]
        assert hurried.get("/api/live") == OK
        assert {answer.result() for answer in answers} == {LOST}
        server.resume()


FILL = """
import asyncio, os, sys
import asyncpg

async def fill():
    opened = []
    try:
        while True:
            opened.append(await asyncpg.connect(os.environ["URL"]))
    except asyncpg.TooManyConnectionsError:
        print(len(opened), flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(fill())
"""


def test_server_without_a_free_connection_is_a_502(
    hurried: EmpireService, server: PostgreSQL, outages: Empire
) -> None:
    with recovering(hurried):
        server.disconnect()
        with subprocess.Popen(
            [outages.python, "-c", FILL],
            env={"URL": server.url("planets")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout and int(process.stdout.readline()) > 20
            check_outage(hurried)


def change_password(server: PostgreSQL) -> Callable[[], object]:
    server.sql(f"ALTER ROLE {OWNER} PASSWORD 'another'")
    return lambda: server.sql(f"ALTER ROLE {OWNER} PASSWORD '{PASSWORD}'")


def rename_database(server: PostgreSQL) -> Callable[[], object]:
    server.disconnect()
    server.sql("ALTER DATABASE planets RENAME TO moons")
    return lambda: server.sql("ALTER DATABASE moons RENAME TO planets")


def forbid_login(server: PostgreSQL) -> Callable[[], object]:
    server.sql(f"ALTER ROLE {OWNER} NOLOGIN")
    return lambda: server.sql(f"ALTER ROLE {OWNER} LOGIN")


def forbid_connections(server: PostgreSQL) -> Callable[[], object]:
    server.sql("ALTER DATABASE planets CONNECTION LIMIT 0")
    return lambda: server.sql("ALTER DATABASE planets CONNECTION LIMIT -1")


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        (change_password, f'password authentication failed for user "{OWNER}"'),
        (rename_database, 'database "planets" does not exist'),
        (forbid_login, f'role "{OWNER}" is not permitted to log in'),
        (forbid_connections, 'too many connections for database "planets"'),
    ],
    ids=["password", "database", "login", "limit"],
)
def test_server_that_refuses_is_a_502_whose_log_says_why(
    hurried: EmpireService,
    server: PostgreSQL,
    refuse: Callable[[PostgreSQL], Callable[[], object]],
    reason: str,
) -> None:
    with recovering(hurried):
        accept = refuse(server)
        try:
            server.disconnect()
            check_outage(hurried)
        finally:
            accept()
    assert reason in hurried.logged()


def test_service_starts_without_the_database(
    outages: Empire, server: PostgreSQL, serve_empire: ServeEmpire
) -> None:
    server.stop()
    service = serve_empire(outages, FASTAPI_DATABASE_URL=server.url("later"))
    with recovering(service):
        check_outage(service)
        server.start()
        # Neither the database nor its tables exist yet.
        check_outage(service)
        server.add("later")
        assert service.answers("/api/ready", 502)
        assert "The database is at no migration" in service.logged()
        outages.migrate(FASTAPI_DATABASE_URL=server.url("later"))


def test_upgrade_waits_for_the_database_with_an_option(outages: Empire, server: PostgreSQL) -> None:
    server.add("waited_for")
    server.stop()
    url = {"FASTAPI_DATABASE_URL": server.url("waited_for")}
    at_once = outages.db("upgrade", **url)
    waiting = ("db", "upgrade", "--wait", "600")

    # Until its first attempt, another listener takes the place of the server.
    with socket.create_server(("127.0.0.1", server.port)) as listener:
        listener.settimeout(2 * SECONDS)
        process = subprocess.Popen(
            [outages.python, "-m", outages.package.name, *waiting],
            cwd=outages.path,
            env={**os.environ, **url},
            stdout=subprocess.PIPE,
        )
        listener.accept()[0].close()
    server.start()
    output, _ = process.communicate(timeout=4 * SECONDS)

    assert at_once.returncode == 1
    assert at_once.stderr.startswith(
        "Error: The database at FASTAPI_DATABASE_URL cannot be reached: "
    )
    assert len(at_once.stderr.splitlines()) == 1
    assert (process.returncode, output.startswith(b"Applied ")) == (0, True)


def backends(server: PostgreSQL, condition: str) -> int:
    """Return the number of the owner's connections that match a condition."""
    where = f"usename = '{OWNER}' AND {condition}"
    return int(server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE {where}"))


def test_statement_over_the_timeout_is_a_502_and_ended(
    hurried: EmpireService, server: PostgreSQL
) -> None:
    assert hurried.get("/api/outages/statement?seconds=600", timeout=LIMIT) == LOST

    wait_until(lambda: backends(server, "state != 'idle'") == 0)
    wait_until(lambda: works(hurried))


def test_exhausted_pool_is_a_502_and_readiness_does_not_wait(hurried: EmpireService) -> None:
    with in_use(hurried, int(POOL["FASTAPI_DATABASE_POOL_SIZE"])):
        wait_until(lambda: hurried.answers("/api/ready"))
        assert hurried.get("/api/planets", timeout=LIMIT) == LOST
        assert hurried.get("/api/live") == OK
    assert "QueuePool limit of size 2 overflow 0 reached" in hurried.logged()
    wait_until(lambda: works(hurried))


def test_disconnected_client_leaves_no_connection_in_use(
    patient: EmpireService, server: PostgreSQL
) -> None:
    everything = 7
    with ThreadPoolExecutor(1) as clients:
        with server.holding("SELECT pg_advisory_xact_lock(42)", "planets"), ExitStack() as stack:
            for _ in range(everything):
                client = socket.create_connection(("127.0.0.1", patient.port), SECONDS)
                stack.enter_context(closing(client))
                client.sendall(b"GET /api/outages/wait HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: backends(server, "wait_event_type = 'Lock'") == everything)
            stack.close()
            # The statements of the disconnected clients still use all connections.
            answer = clients.submit(patient.get, "/api/planets", 4 * SECONDS)
        # The lock is released, so the statements end.
        assert answer.result() == (200, "[]")

    with in_use(patient, everything):
        pass


def test_every_request_is_answered_with_transaction_pooling(
    outages: Empire,
    postgresql: PostgreSQL,
    bouncer: PgBouncer,
    database: str,
    serve_empire: ServeEmpire,
) -> None:
    variables = {
        "FASTAPI_DATABASE_URL": bouncer.url(database),
        "FASTAPI_DATABASE_PREPARED_STATEMENTS": "false",
    }
    outages.migrate(**variables)
    service = serve_empire(outages, **variables, FASTAPI_WORKERS="2")

    def ask(number: int) -> int:
        body = json.dumps({"name": f"Planet {number}", "size": number}).encode()
        path = "/api/ready" if number % 20 == 0 else f"/api/planets?size={number - 1}"
        request = ("POST", "/api/planets", body, JSON) if number % 2 else ("GET", path)
        status: int = service.request(*request, timeout=2 * SECONDS)[0]
        return status

    # More clients than connections of PgBouncer to the server.
    with ThreadPoolExecutor(16) as clients:
        statuses = Counter(clients.map(ask, range(1000)))

    assert statuses == {200: 500, 201: 500}
    assert postgresql.sql("SELECT count(*) FROM planets", database) == "500\n"


def test_failover_loses_no_write_and_needs_no_restart(
    outages: Empire, serve_empire: ServeEmpire
) -> None:
    with running() as primary, users_folder() as folder, ExitStack() as stack:
        url = {"FASTAPI_DATABASE_URL": primary.add("planets")}
        outages.migrate(**url)
        standby = primary.synchronous_standby(folder)
        stack.callback(standby.kill)
        # The standby, which refuses writes, comes first.
        first = f"127.0.0.1:{standby.port},"
        both = primary.url("planets", first, target_session_attrs="read-write")
        service = serve_empire(outages, FASTAPI_DATABASE_URL=both, FASTAPI_WORKERS="2")
        answers: list[tuple[str, int, str]] = []
        names, done = count(), Event()

        def write() -> None:
            while not done.wait(0.01):
                name = f"Planet {next(names)}"
                body = json.dumps({"name": name, "size": 1}).encode()
                answers.append((name, *service.request("POST", "/api/planets", body, JSON)[:2]))

        def stored() -> list[str]:
            return [name for name, status, _ in answers if status == 201]

        with recovering(service), ThreadPoolExecutor(4) as clients:
            writers = [clients.submit(write) for _ in range(4)]
            try:
                wait_until(lambda: len(stored()) > 100)
                primary.kill()
                wait_until(lambda: service.answers("/api/ready", 502))
                assert service.get("/api/live") == OK
                standby.promote()
                before = len(stored())
                wait_until(lambda: len(stored()) > before + 100)
            finally:
                done.set()
        for writer in writers:
            writer.result()
        assert {(status, body) for _, status, body in answers if status != 201} == {LOST}
        assert (
            set(stored()) - {*standby.sql("SELECT name FROM planets", "planets").split("\n")}
            == set()
        )
        print(Counter(status for _, status, _ in answers))


def test_file_of_sqlite_that_is_locked_or_absent_is_a_502(
    empire: Empire, serve_empire: ServeEmpire, tmp_path: Path
) -> None:
    folder = tmp_path / "volume"
    url = {"FASTAPI_DATABASE_URL": f"sqlite:///{folder}/empire.db"}
    service = serve_empire(empire, **url, FASTAPI_DATABASE_TIMEOUT=str(TIMEOUT))
    with recovering(service):
        check_outage(service)
        folder.mkdir()
        empire.migrate(**url)
    with recovering(service), closing(sqlite3.connect(folder / "empire.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert service.get("/api/planets", timeout=LIMIT) == LOST
        assert service.get("/api/live") == OK
    assert "unable to open database file" in service.logged()
    assert "database is locked" in service.logged()
