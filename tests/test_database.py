"""A new project with planets, on SQLite and on a real PostgreSQL."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from postgresql import (
    LOST,
    MODEL,
    Empire,
    EmpireService,
    PostgreSQL,
    ServeEmpire,
    serving,
)
from support import OK, SECONDS, add_controller, run, wait_until

pytestmark = pytest.mark.slow

HOTH = {"name": "Hoth", "size": 7200}
BEYOND = 10**30
NUL = "Ho\0th"
INVALID = {"error": {"code": 422, "message": "Invalid request", "status": "UNPROCESSABLE_ENTITY"}}
TAKEN = {"error": {"code": 409, "message": "Conflict", "status": "CONFLICT"}}
MISSING = {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}


@pytest.fixture(scope="module")
def services(
    empire: Empire, postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, EmpireService]]:
    """The same project served from each database, SQLite by default."""
    choices = {"sqlite": {}, "postgresql": {"FASTAPI_DATABASE_URL": postgresql.add("planets")}}
    with serving(tmp_path_factory.mktemp("services")) as serve:
        started = {}
        for name, variables in choices.items():
            empire.make("migrate", **variables)
            started[name] = serve(empire, FASTAPI_WORKERS="2", **variables)
        yield started


def ask(service: EmpireService, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and the answer, without values that differ each time."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    status, text, _ = service.request(method, f"/api/planets{path}", data, headers)
    answer = json.loads(text)
    for each in answer if isinstance(answer, list) else [answer]:
        each.pop("id", None)
        each.pop("created_at", None)
    return status, answer


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_posted_planet_is_stored(
    services: dict[str, EmpireService], empire: Empire, postgresql: PostgreSQL, name: str
) -> None:
    service = services[name]
    posted = {**HOTH, "name": f"Hoth of {name}", "seen_at": "1980-05-21T02:00:00+02:00"}

    status, body, _ = service.request(
        "POST", "/api/planets", json.dumps(posted).encode(), {"Content-Type": "application/json"}
    )
    assert status == 201
    planet = json.loads(service.get(f"/api/planets/{json.loads(body)['id']}")[1])

    kept = {**posted, "home_id": None, "seen_at": "1980-05-21T00:00:00Z"}
    assert planet | kept == planet
    # Each worker has its own connections.
    for _ in range(10):
        status, body = service.get(f"/api/planets/{planet['id']}")
        assert (status, json.loads(body)) == (200, planet)
        assert planet in json.loads(service.get("/api/planets?size=7200")[1])
    assert service.get("/api/ready") == OK
    stored = postgresql.sql("SELECT name FROM planets", "planets").splitlines()
    assert (posted["name"] in stored) == (name == "postgresql")
    assert (empire.path / "galactic-empire.db").exists()


CASES: dict[str, tuple[str, str, Any, int, Any]] = {
    "key of nothing": ("GET", "/1000000", None, 404, MISSING),
    "key below all": ("GET", "/-1", None, 404, MISSING),
    "key beyond an int": ("GET", f"/{2**31}", None, 404, MISSING),
    "key beyond a bigint": ("GET", f"/{2**63}", None, 422, INVALID),
    "key far beyond": ("GET", f"/{BEYOND}", None, 422, INVALID),
    "key far below": ("GET", f"/-{BEYOND}", None, 422, INVALID),
    "filter beyond an int": ("GET", f"?size={2**31}", None, 422, INVALID),
    "filter far beyond": ("GET", f"?size={BEYOND}", None, 422, INVALID),
    "largest": ("POST", "", {"name": "Largest", "size": 2**31 - 1}, 201, {"size": 2**31 - 1}),
    "smallest": ("POST", "", {"name": "Smallest", "size": -(2**31)}, 201, {"size": -(2**31)}),
    "value beyond an int": ("POST", "", {**HOTH, "size": 2**31}, 422, INVALID),
    "value below an int": ("POST", "", {**HOTH, "size": -(2**31) - 1}, 422, INVALID),
    "value far beyond": ("POST", "", {**HOTH, "size": BEYOND}, 422, INVALID),
    "NUL": ("POST", "", {**HOTH, "name": NUL}, 422, INVALID),
    "NUL at the end": ("POST", "", {**HOTH, "name": "Hoth\0"}, 422, INVALID),
    "longest": ("POST", "", {**HOTH, "name": "ä" * 255}, 201, {"name": "ä" * 255}),
    "longer": ("POST", "", {**HOTH, "name": "ä" * 256}, 422, INVALID),
    "every plane": ("POST", "", {**HOTH, "name": "🪐\x01 ÿ"}, 201, {"name": "🪐\x01 ÿ"}),
    "home that is not there": ("POST", "", {**HOTH, "home_id": 10**9}, 409, TAKEN),
    "home beyond": ("POST", "", {**HOTH, "home_id": 2**63}, 422, INVALID),
    "home far beyond": ("POST", "", {**HOTH, "home_id": BEYOND}, 422, INVALID),
    "time without a zone": ("POST", "", {**HOTH, "seen_at": "1980-05-21T00:00:00"}, 422, INVALID),
    "first time": ("POST", "", {**HOTH, "seen_at": "0001-01-01T00:00:00+14:00"}, 422, INVALID),
    "last time": ("POST", "", {**HOTH, "seen_at": "9999-12-31T23:59:59-12:00"}, 422, INVALID),
    "time with a zone": (
        "POST",
        "",
        {"name": "Endor", "size": 1, "seen_at": "1983-05-24T23:59:59.123456-11:30"},
        201,
        # As it was sent; later reads return UTC.
        {"seen_at": "1983-05-24T23:59:59.123456-11:30"},
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "answer"), CASES.values(), ids=CASES)
def test_both_databases_give_the_same_answer(
    services: dict[str, EmpireService], method: str, path: str, body: Any, status: int, answer: Any
) -> None:
    answers = [ask(service, method, path, body) for service in services.values()]

    assert answers[0] == answers[1]
    assert answers[0][0] == status
    assert answers[0][1] | answer == answers[0][1]


def test_duplicate_name_is_a_conflict_with_both(services: dict[str, EmpireService]) -> None:
    jakku = {"name": "Jakku", "size": 6400}

    answers = [[ask(service, "POST", "", jakku) for _ in range(2)] for service in services.values()]

    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [201, 409]
    assert answers[0][1][1] == TAKEN


def test_existing_home_can_be_referred_to_with_both(
    services: dict[str, EmpireService],
) -> None:
    for service in services.values():
        json_type = {"Content-Type": "application/json"}
        body = json.dumps({"name": "Corellia", "size": 11000}).encode()
        home = json.loads(service.request("POST", "/api/planets", body, json_type)[1])
        answer = ask(service, "POST", "", {"name": "Kuat", "size": 10000, "home_id": home["id"]})
        assert answer[0] == 201
        assert answer[1]["home_id"] == home["id"]


SCRIPT = """
import asyncio, json

from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from galactic_empire.app.models.planet import Planet
from galactic_empire.app.utils import Database

results = {}


async def names():
    async with Database.transaction() as session:
        return sorted(await session.scalars(select(Planet.name)))


async def add(name, *, inner=None, error=None, home=None):
    async with Database.transaction() as session:
        session.add(Planet(name=name, size=1, home_id=home))
        await session.flush()
        if inner:
            await inner()
        if error:
            raise error


async def outcome(name, coroutine):
    try:
        await coroutine
        result = "stored"
    except BaseException as error:
        result = type(error).__name__
    stored = await names()
    results[name] = [result, stored]
    async with Database.transaction() as session:
        await session.execute(text("DELETE FROM planets"))


async def nested():
    await add("outer", inner=lambda: add("inner"))


async def nested_failure():
    await add("outer", inner=lambda: add("inner", error=KeyError()))


async def caught_failure():
    async def inner():
        try:
            await add("inner", error=KeyError())
        except KeyError:
            pass
    await add("outer", inner=inner)


async def two_tasks():
    async def one(name, error=None):
        # They run concurrently; on SQLite each waits for its turn.
        await add(name, error=error)
    done = await asyncio.gather(
        *(one(f"{n}", KeyError() if n % 2 else None) for n in range(8)), return_exceptions=True
    )
    assert [type(each).__name__ for each in done] == ["NoneType", "KeyError"] * 4


async def child_of_a_transaction():
    # On SQLite the child must not begin before the parent has ended.
    ended = asyncio.Event()
    async def child():
        await ended.wait()
        await add("child")
    async with Database.transaction() as session:
        session.add(Planet(name="parent", size=1))
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
    ended.set()
    await task


async def cancelled():
    entered = asyncio.Event()
    async def inner():
        entered.set()
        await asyncio.Event().wait()
    task = asyncio.create_task(add("cancelled", inner=inner))
    await entered.wait()
    task.cancel()
    await task


async def own_error():
    await add("mine", error=OSError("the caller's own"))


async def own_timeout():
    await add("mine", error=TimeoutError("the caller's own"))


async def refused_statement():
    # SQLite, unlike PostgreSQL, would store the rest.
    async with Database.transaction() as session:
        await session.execute(insert(Planet).values(name="before", size=1, version=1))
        try:
            await session.execute(insert(Planet).values(name="before", size=1, version=1))
        except IntegrityError:
            pass


async def refused_with_savepoint():
    async with Database.transaction() as session:
        session.add(Planet(name="before", size=1))
        await session.flush()
        try:
            async with session.begin_nested():
                session.add(Planet(name="before", size=1))
        except IntegrityError:
            pass
        session.add(Planet(name="after", size=1))


async def late_refusal():
    # The database refuses at the commit, after everything that the caller did.
    async with Database.transaction() as session:
        await session.execute(text(DEFER))
        session.add(Planet(name="lost", size=1, home_id=10**9))
        await session.flush()


async def main():
    for case in (nested, nested_failure, caught_failure, two_tasks, child_of_a_transaction,
                 cancelled, own_error, own_timeout, refused_statement, refused_with_savepoint,
                 late_refusal):
        await outcome(case.__name__, case())
    checked_out = Database.get_engine().sync_engine.pool.checkedout()
    await Database.close_engine()
    print(json.dumps({**results, "checked out": checked_out}))


DEFER = {
    "sqlite": "PRAGMA defer_foreign_keys = ON",
    "postgresql": "SET CONSTRAINTS ALL DEFERRED",
}[Database.get_engine().dialect.name]
asyncio.run(main())
"""
PROMISES: dict[str, Any] = {
    "nested": ["stored", ["inner", "outer"]],
    "nested_failure": ["KeyError", []],
    "caught_failure": ["TransactionError", []],
    "two_tasks": ["stored", ["0", "2", "4", "6"]],
    "child_of_a_transaction": ["stored", ["child", "parent"]],
    "cancelled": ["CancelledError", []],
    "own_error": ["OSError", []],
    "own_timeout": ["TimeoutError", []],
    "refused_statement": ["TransactionError", []],
    "refused_with_savepoint": ["stored", ["after", "before"]],
    "late_refusal": ["IntegrityError", []],
    "checked out": 0,
}


def prepare(empire: Empire, url: str, request: pytest.FixtureRequest) -> None:
    """Migrate, and make the foreign key deferrable on PostgreSQL."""
    empire.migrate(FASTAPI_DATABASE_URL=url)
    if url.startswith("postgresql"):
        server, database = map(request.getfixturevalue, ("postgresql", "database"))
        name = "fk_planets_home_id_planets"
        server.sql(f"ALTER TABLE planets ALTER CONSTRAINT {name} DEFERRABLE", database)


def test_transactions_keep_their_promises_on_both(
    empire: Empire, url: str, request: pytest.FixtureRequest
) -> None:
    prepare(empire, url, request)

    printed = run(empire.python, "-c", SCRIPT, cwd=empire.path, FASTAPI_DATABASE_URL=url)

    assert json.loads(printed) == PROMISES


LOOPS = """
import asyncio, json, sys, traceback

from sqlalchemy import select

from galactic_empire.app.models.planet import Planet
from galactic_empire.app.utils import Database


async def add(name, size=1):
    async with Database.transaction() as session:
        session.add(Planet(name=name, size=size))


def in_another_loop():
    try:
        asyncio.run(add("other"))
    except RuntimeError as error:
        return str(error)


async def main():
    for name in "abc":
        await add(name)
        refused = await asyncio.to_thread(in_another_loop)
    try:
        await add(sys.argv[1], size=None)
    except Exception:
        text = traceback.format_exc()
    # A new connection does not see rows of a transaction that was left open.
    await Database.close_engine()
    async with Database.transaction() as session:
        names = [*await session.scalars(select(Planet.name).order_by(Planet.name))]
    await Database.close_engine()
    print(json.dumps([names, refused, text]))


asyncio.run(add("a loop before"))
asyncio.run(main())
"""


def test_another_event_loop_is_refused_and_loses_nothing(empire: Empire, url: str) -> None:
    empire.migrate(FASTAPI_DATABASE_URL=url)

    done = subprocess.run(
        [empire.python, "-c", LOOPS, "sesame"],
        cwd=empire.path,
        env={**os.environ, "FASTAPI_DATABASE_URL": url},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    names, refused, text = json.loads(done.stdout)
    assert names == ["a", "a loop before", "b", "c"]
    assert "another event loop" in refused
    # The error does not disclose the values of the refused row.
    assert "IntegrityError" in text
    assert "sesame" not in text


def test_table_can_be_altered_while_the_service_runs(
    empire: Empire, postgresql: PostgreSQL, database: str, serve_empire: ServeEmpire
) -> None:
    url = postgresql.url(database)
    empire.migrate(FASTAPI_DATABASE_URL=url)
    service = serve_empire(empire, FASTAPI_DATABASE_URL=url)
    assert service.get("/api/planets") == (200, "[]")

    postgresql.sql("ALTER TABLE planets ALTER size TYPE bigint", database)

    first, second = service.get("/api/planets"), service.get("/api/planets")
    assert first in (LOST, (200, "[]"))
    assert second == (200, "[]")


FLEET = '''
"""Fleets."""

from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base

if TYPE_CHECKING:
    from .planet import Planet


class Fleet(Base):
    """A fleet, and where it is."""

    __tablename__ = "fleets"

    planet_id: Mapped[int] = mapped_column(ForeignKey("planets.id"))
    planet: Mapped["Planet"] = relationship()
'''
RELATED = """
from sqlalchemy.orm import configure_mappers
from galactic_empire.app.asgi import get_application

get_application()
configure_mappers()
from galactic_empire.app.models.fleet import Fleet
print(Fleet.planet.property.mapper.class_.__name__)
"""


def test_model_can_refer_to_one_that_nothing_imports(bare: Empire, tmp_path: Path) -> None:
    project = bare.copy(tmp_path)
    (project.package / "app/models/fleet.py").write_text(FLEET.lstrip(), "utf-8")
    (project.package / "app/models/planet.py").write_text(MODEL.lstrip(), "utf-8")

    assert run(project.python, "-c", RELATED, cwd=project.path) == "Planet\n"


# Coverage traces all of these threads, which end while it is called back.
THREADS = """
import threading


def end() -> None:
    pass


def test_threads_end() -> None:
    def start() -> None:
        for _ in range(30):
            threads = [threading.Thread(target=end) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    starters = [threading.Thread(target=start) for _ in range(2)]
    for thread in starters:
        thread.start()
    while any(thread.is_alive() for thread in starters):
        sum(number for number in range(50))
"""


def test_coverage_does_not_hang_when_threads_end_at_once(bare: Empire, tmp_path: Path) -> None:
    project = bare.clone(tmp_path)
    file = project.path / "tests/unit/test_threads.py"
    file.write_text(THREADS, "utf-8")

    command = (project.python, "-m", "coverage", "run", "-m", "pytest", file)
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout


def test_model_that_nothing_imports_is_documented(bare: Empire, tmp_path: Path) -> None:
    project = bare.clone(tmp_path)
    (project.package / "app/models/planet.py").write_text(MODEL.lstrip(), "utf-8")

    project.make("docs", PYTHONPATH=str(project.path))

    page = project.path / "site/api/galactic_empire.app.models.planet.html"
    assert "A planet, and the one from which it was settled." in page.read_text("utf-8")


LATE = '''
"""Planets that the database refuses at the commit."""

from fastapi import APIRouter
from sqlalchemy import text

from ..models.planet import Planet
from ..utils import Database

router = APIRouter(prefix="/late")
DEFER = {
    "sqlite": "PRAGMA defer_foreign_keys = ON",
    "postgresql": "SET CONSTRAINTS ALL DEFERRED",
}


@router.post("", status_code=201)
async def create() -> str:
    async with Database.transaction() as session:
        await session.execute(text(DEFER[Database.get_engine().dialect.name]))
        session.add(Planet(name="lost", size=1, home_id=10**9))
        await session.flush()
        return "created"
'''


def test_failed_commit_is_never_answered_as_a_success(
    empire: Empire,
    url: str,
    serve_empire: ServeEmpire,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    copy = empire.copy(tmp_path)
    add_controller(copy.package, "late", LATE)
    prepare(copy, url, request)
    service = serve_empire(copy, FASTAPI_DATABASE_URL=url)

    status, body, _ = service.request("POST", "/api/late")

    assert (status, json.loads(body)) == (409, TAKEN)
    assert service.get("/api/planets") == (200, "[]")


def test_certificate_of_postgresql_is_verified(
    empire: Empire,
    postgresql: PostgreSQL,
    database: str,
    authority: trustme.CA,
    serve_empire: ServeEmpire,
    tmp_path: Path,
) -> None:
    files = {}
    for name, issuer in (("right", authority), ("wrong", trustme.CA())):
        files[name] = tmp_path / f"{name}.pem"
        issuer.cert_pem.write_to_path(files[name])
    full = {"sslmode": "verify-full"}
    choices = {
        "verified": {**full, "sslrootcert": str(files["right"])},
        "another authority": {**full, "sslrootcert": str(files["wrong"])},
        "not verified": {"sslmode": "require"},
        # As in PostgreSQL's own clients.
        "verified as well": {"sslmode": "require", "sslrootcert": str(files["wrong"])},
    }
    urls = {name: postgresql.url(database, **words) for name, words in choices.items()}
    empire.migrate(FASTAPI_DATABASE_URL=urls["verified"])

    services = {
        name: serve_empire(empire, wait=False, FASTAPI_DATABASE_URL=url)
        for name, url in urls.items()
    }
    for service in services.values():
        wait_until(service.answers, 2 * SECONDS)
    answers = {name: service.get("/api/ready") for name, service in services.items()}

    assert answers == {
        "verified": OK,
        "another authority": LOST,
        "not verified": OK,
        "verified as well": LOST,
    }
    assert "certificate verify failed" in services["another authority"].logged()
    assert "certificate verify failed" in services["verified as well"].logged()
    encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
    assert postgresql.sql(f"{encrypted} WHERE datname = '{database}'") == "t\n"
