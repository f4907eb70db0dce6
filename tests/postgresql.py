"""PostgreSQL servers and PgBouncer, and a service that stores its planets there.

The servers refuse to run as root, so tests that run as root start them as another user.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import trustme
from support import (
    SECONDS,
    Project,
    Service,
    add_controller,
    free_port,
    run,
    wait_until,
)

# The UID of `nobody`, which has no rights on any Linux.
USER = 65534
OWNER, ADMINISTRATOR = "moff", "tarkin"
# It must be escaped in URLs, and must not appear in any output.
PASSWORD = "Grand/Moff@1"
IN_USE = "Address already in use"
# For tests that are not about timeouts: long enough for a busy machine.
PATIENT = {"FASTAPI_DATABASE_TIMEOUT": "60"}

LOST = (
    502,
    '{"error":{"code":502,"message":"Could not connect to the database at '
    'FASTAPI_DATABASE_URL","status":"BAD_GATEWAY"}}',
)

MODEL = '''
"""Planets."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


class Planet(Base):
    """A planet, and the one from which it was settled."""

    __tablename__ = "planets"

    name: Mapped[str] = mapped_column(String(255), unique=True)
    size: Mapped[int]
    seen_at: Mapped[datetime | None]
    home_id: Mapped[int | None] = mapped_column(ForeignKey("planets.id"), index=True)
'''

CONTROLLER = '''
"""Planets over HTTP, with as few bounds as Python has."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from ..exceptions import HTTPException
from ..models.planet import Planet
from ..utils import Database

router = APIRouter(prefix="/planets")


class NewPlanet(BaseModel):
    name: str
    size: int
    seen_at: datetime | None = None
    home_id: int | None = None


class PlanetAnswer(NewPlanet):
    id: int
    created_at: datetime


@router.get("", response_model=list[PlanetAnswer])
async def index(size: int | None = None) -> Sequence[Planet]:
    query = select(Planet).order_by(Planet.id)
    async with Database.transaction() as session:
        found = query if size is None else query.where(Planet.size == size)
        return (await session.scalars(found)).all()


@router.get("/{planet_id}", response_model=PlanetAnswer)
async def show(planet_id: int) -> Planet:
    async with Database.transaction() as session:
        if planet := await session.get(Planet, planet_id):
            return planet
    raise HTTPException(404)


@router.post("", status_code=201, response_model=PlanetAnswer)
async def create(new: NewPlanet) -> Planet:
    async with Database.transaction() as session:
        planet = Planet(**new.model_dump())
        session.add(planet)
    return planet
'''


def as_user() -> list[str]:
    """Return the prefix of a command that root must run as another user."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]


def give(path: Path) -> Path:
    """Change the owner of a path to the user of the servers."""
    if not os.geteuid():
        os.chown(path, USER, USER)
    return path


@contextmanager
def users_folder() -> Iterator[Path]:
    """Make a folder for a server, whose user has no access to those of pytest."""
    folder = give(Path(tempfile.mkdtemp(prefix="postgresql-")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@cache
def programs() -> Path | None:
    """Return the folder with PostgreSQL's programs, which Debian does not put on the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(versions, key=lambda path: float(path.parts[-3]))
    return newest[-1].parent if newest else None


@cache
def pgbouncer() -> str | None:
    """Return the path of PgBouncer, which Debian installs in `/usr/sbin`."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


def _state(process: int) -> str:
    """Return the one-letter state of a process."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def _is_running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return _state(process) != "Z"
    return False


class Program:
    """A server run by an ordinary user, which can be stopped and restarted."""

    process: subprocess.Popen[bytes]
    # The line it logs when it accepts connections.
    ready = ""

    def __init__(self, folder: Path) -> None:
        """Keep everything in ``folder``, which belongs to the user."""
        self.folder, self.log, self.port = folder, folder / "log", free_port()
        self.has_run = False

    def command(self) -> list[str | Path]:
        """Return the command that starts it at its port."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, for the first time or again; return when it accepts connections."""
        wait_until(self._begin, 2 * SECONDS)
        self.has_run = True

    def _begin(self) -> bool:
        """Start it; return False if its port was in use."""
        with self.log.open("ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(
                [*as_user(), *self.command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def logged() -> str:
            return self.log.read_bytes()[before:].decode()

        wait_until(lambda: self.process.poll() is not None or self.ready in logged(), 2 * SECONDS)
        if self.process.poll() is None:
            return True
        assert IN_USE in logged(), logged()
        if not self.has_run:
            self.port = free_port()
        return False

    def stop(self) -> None:
        """Stop it and close its connections; do nothing if it is not running."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(2 * SECONDS) == 0, self.log.read_text("utf-8")

    def url(self, database: str, others: str = "", **parameters: str) -> str:
        """Return its owner's URL of a database; ``others`` are further hosts to list first."""
        login = f"{OWNER}:{quote(PASSWORD, safe='')}"
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"postgresql://{login}@{others}127.0.0.1:{self.port}/{database}{query}"


class PostgreSQL(Program):
    """A PostgreSQL server whose databases belong to a role without administrator rights."""

    ready = "database system is ready to accept"

    def __init__(self, folder: Path, **settings: object) -> None:
        """Set ``settings``, those of `postgresql.conf`."""
        super().__init__(folder)
        self.data = folder / "data"
        self.settings = settings

    def create(self) -> None:
        """Create the data directory and start it for the first time."""
        options = ("--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256")
        texts = ("--encoding=UTF8", "--locale=C")
        names = (f"--username={ADMINISTRATOR}", f"--pgdata={self.data}")
        self.call("initdb", *options, *texts, *names)
        self.start()
        self.sql(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'")

    def command(self) -> list[str | Path]:
        """Return the command that starts it at its port."""
        settings: dict[str, object] = {
            "fsync": "off",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            **self.settings,
        }
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [Path(programs() or "") / "postgres", "-D", self.data, "-p", str(self.port), *given]

    def call(self, name: str, *words: str | Path) -> str:
        """Run one of its programs, which must succeed, as its user."""
        return run(*as_user(), Path(programs() or "") / name, *words, cwd=self.folder)

    def client(self, name: str, database: str, *words: str) -> list[str | Path]:
        """Return the command of a client that connects as the administrator."""
        at = ("-h", self.folder, "-p", str(self.port), "-U", ADMINISTRATOR, "-d", database)
        return [Path(programs() or "") / name, *at, *words]

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Let the administrator execute a statement; return the rows."""
        quiet = ("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1")
        return run(*self.client("psql", database, *quiet, "-c", statement), cwd=self.folder)

    def administrators_url(self) -> str:
        """Return a URL of the role that can create databases."""
        return f"postgresql://{ADMINISTRATOR}@/postgres?host={self.folder}&port={self.port}"

    @contextmanager
    def holding(self, statement: str, database: str) -> Iterator[None]:
        """Execute a statement in a transaction that stays open within the block."""
        command = self.client("psql", database, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1")
        with subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as psql:
            assert psql.stdin and psql.stdout
            print(f"BEGIN; {statement};\n\\echo held", file=psql.stdin, flush=True)
            assert "held\n" in psql.stdout
            try:
                yield
            finally:
                psql.stdin.close()

    def add(self, database: str) -> str:
        """Make an empty database; return its URL."""
        self.sql(f"CREATE DATABASE {database} OWNER {OWNER}")
        return self.url(database)

    def dump(self, database: str) -> str:
        """Return the contents of a database as statements."""
        dumped = run(*self.client("pg_dump", database, "--inserts"), cwd=self.folder)
        # Comments contain times, and newer programs write a random key.
        return "\n".join(x for x in dumped.splitlines() if not x.startswith(("--", "\\")))

    def processes(self) -> list[int]:
        """Return its PIDs; the first is that of the parent process."""
        main = self.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def hang(self) -> None:
        """Make it accept connections but answer none, until :meth:`resume`."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.process.pid) == "T")
        # The stopped parent cannot start more children.
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after :meth:`hang`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, even while it hangs, as when a machine is lost."""
        if self.process.poll() is None:
            self.hang()
            processes = self.processes()
            self._signal(signal.SIGKILL)
            self.process.wait()
            wait_until(lambda: not any(map(_is_running, processes)))

    def _signal(self, number: int) -> None:
        for each in self.processes():
            with suppress(ProcessLookupError):
                os.kill(each, number)

    def disconnect(self) -> None:
        """End the connections of the owner."""
        backends = f"FROM pg_stat_activity WHERE usename = '{OWNER}'"
        self.sql(f"SELECT pg_terminate_backend(pid) {backends}")
        wait_until(lambda: self.sql(f"SELECT count(*) {backends}") == "0\n")

    def standby(self, folder: Path) -> "PostgreSQL":
        """Start a standby of it in ``folder``; return it when it replicates."""
        other = PostgreSQL(folder, **self.settings)
        at = ("-h", str(self.folder), "-p", str(self.port), "-U", ADMINISTRATOR)
        how = ("-R", "--checkpoint=fast", "--no-sync")
        self.call("pg_basebackup", *at, *how, "-D", other.data)
        other.start()
        wait_until(lambda: self.sql("SELECT state FROM pg_stat_replication") == "streaming\n")
        return other

    def synchronous_standby(self, folder: Path) -> "PostgreSQL":
        """Start a standby that has every write which the server acknowledges."""
        other = self.standby(folder)
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.sql("SELECT pg_reload_conf()")
        wait_until(lambda: self.sql("SELECT sync_state FROM pg_stat_replication") == "sync\n")
        return other

    def promote(self) -> None:
        """Promote a standby to primary."""
        self.call("pg_ctl", "promote", "-w", "-D", self.data)


class PgBouncer(Program):
    """A PgBouncer with transaction pooling in front of a server."""

    ready = "process up"

    def __init__(self, folder: Path, server: PostgreSQL) -> None:
        """Provide access to all databases of ``server``."""
        super().__init__(folder)
        self.server = server

    def command(self) -> list[str | Path]:
        """Return the command that starts it at its port."""
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self.folder / "users",
            "pool_mode": "transaction",
            # Fewer connections than the service opens.
            "default_pool_size": 4,
            "max_client_conn": 100,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        target = f"* = host=127.0.0.1 port={self.server.port}"
        text = "\n".join(["[databases]", target, "[pgbouncer]", *lines, ""])
        (self.folder / "pgbouncer.ini").write_text(text, "utf-8")
        (self.folder / "users").write_text(f'"{OWNER}" "{PASSWORD}"\n', "utf-8")
        for name in ("pgbouncer.ini", "users"):
            give(self.folder / name).chmod(0o600)
        return [pgbouncer() or "", self.folder / "pgbouncer.ini"]


class Empire(Project):
    """A project with planets in its own folder; the environment is shared."""

    def db(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a `db` command, whose output must not contain a secret."""
        done = subprocess.run(
            [self.python, "-m", self.package.name, "db", *words],
            cwd=self.path,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * SECONDS,
        )
        check_discretion(done.stdout + done.stderr)
        return done

    def migrate(self, **variables: str) -> None:
        """Apply all migrations, which must succeed."""
        done = self.db("upgrade", **variables)
        assert done.returncode == 0, done.stderr

    def copy(self, folder: Path) -> "Empire":
        """Return a copy of the package that can be changed."""
        copy = Empire(folder / self.path.name, self.answers)
        shutil.copytree(self.package, copy.package)
        (copy.path / ".venv").symlink_to((self.path / ".venv").resolve())
        return copy

    def clone(self, folder: Path) -> "Empire":
        """Return a copy of the whole project."""
        clone = Empire(folder / self.path.name, self.answers)
        shutil.copytree(self.path, clone.path, symlinks=True)
        return clone

    def migration(self, name: str, follows: str | None, text: str, undo: str = "pass") -> None:
        """Write a migration by hand; its name is its revision."""
        lines = [
            f'"""{name.capitalize()}."""',
            "import os, time",
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision = {name!r}",
            f"down_revision = {follows!r}",
            f"def upgrade():\n    {text}",
            f"def downgrade():\n    {undo}",
        ]
        file = self.package / f"migrations/versions/{name}.py"
        file.write_text("\n".join([*lines, ""]), "utf-8")

    def revisions(self) -> list[str]:
        """Return the names of all migrations."""
        return sorted(file.stem for file in self.package.glob("migrations/versions/[!_]*.py"))


class EmpireService(Service):
    """The service of a project, whose responses and log must not contain secrets."""

    def __init__(self, empire: Empire, log: Path, **variables: str) -> None:
        """Serve in the project's folder."""
        self.log = log
        port = free_port()
        logged = ("sh", "-c", 'exec "$@" >>"$0" 2>&1', log)
        serve = (empire.python, "-m", empire.package.name, "serve")
        command = (*logged, *serve, "--bind", f"127.0.0.1:{port}")
        super().__init__(command, port, {"FASTAPI_WORKERS": "1", **variables}, empire.path)

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Return the status code, the body and the headers."""
        answer = super().request(*arguments, **options)
        check_discretion(f"{answer[1]} {answer[2]}")
        return answer

    def logged(self) -> str:
        """Return the log."""
        return self.log.read_text("utf-8")


def check_discretion(text: str) -> None:
    """Fail if a text contains the password, or a traceback that could."""
    assert PASSWORD not in text
    assert quote(PASSWORD, safe="") not in text
    assert "Traceback" not in text, text


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def certificates(authority: trustme.CA, folder: Path, *hosts: str) -> dict[str, object]:
    """Write a certificate for ``hosts`` and its key; return the settings of the server."""
    issued = authority.issue_cert(*hosts)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    for name in ("key.pem", "cert.pem"):
        give(folder / name).chmod(0o600)
    files = {"ssl_key_file": folder / "key.pem", "ssl_cert_file": folder / "cert.pem"}
    return {"ssl": "on", **files}


def need_postgresql() -> None:
    """Skip a test where the machine has no PostgreSQL."""
    if not programs():
        pytest.skip("needs PostgreSQL")


@contextmanager
def running(*, tls: trustme.CA | None = None, **settings: object) -> Iterator[PostgreSQL]:
    """Run a new server, and kill it in the end."""
    need_postgresql()
    with users_folder() as folder:
        secure = certificates(tls, folder, "127.0.0.1") if tls else {}
        server = PostgreSQL(folder, **secure, **settings)
        try:
            server.create()
            yield server
        finally:
            if hasattr(server, "process"):
                server.kill()


@pytest.fixture(scope="session")
def postgresql(authority: trustme.CA) -> Iterator[PostgreSQL]:
    """A server with TLS for all tests, which must not stop it."""
    with running(tls=authority) as server:
        yield server


@pytest.fixture(scope="session")
def bouncer(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    """A PgBouncer in front of the shared server."""
    if not pgbouncer():
        pytest.skip("needs PgBouncer")
    with users_folder() as folder:
        pool = PgBouncer(folder, postgresql)
        pool.start()
        try:
            yield pool
        finally:
            pool.process.kill()
            pool.process.wait()


@pytest.fixture
def database(postgresql: PostgreSQL) -> str:
    """The name of an empty database on the server."""
    (rows,) = postgresql.sql("SELECT count(*) FROM pg_database").splitlines()
    name = f"test_{rows}"
    postgresql.add(name)
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(request.getfixturevalue("database"))


@pytest.fixture(scope="session")
def bare(full: Project, tmp_path_factory: pytest.TempPathFactory) -> Empire:
    """A new project without migrations, which uses the environment of ``full``."""
    empire = Empire(tmp_path_factory.mktemp("bare") / full.path.name, full.answers)
    shutil.copytree(full.path, empire.path, ignore=shutil.ignore_patterns(".venv"))
    (empire.path / ".venv").symlink_to(full.path / ".venv")
    return empire


@pytest.fixture(scope="session")
def empire(bare: Empire, tmp_path_factory: pytest.TempPathFactory) -> Empire:
    """A project with planets written by hand, and a migration generated by `make`."""
    empire = bare.clone(tmp_path_factory.mktemp("empire"))
    (empire.package / "app/models/planet.py").write_text(MODEL.lstrip(), "utf-8")
    add_controller(empire.package, "planets", CONTROLLER)
    empire.make("migration", MESSAGE="create planets")
    return empire


ServeEmpire = Callable[..., EmpireService]


@contextmanager
def serving(folder: Path) -> Iterator[ServeEmpire]:
    """Start services; in the end, kill them and check their logs."""
    services: list[EmpireService] = []

    def serve(empire: Empire, *, wait: bool = True, **variables: str) -> EmpireService:
        log = folder / f"service-{len(services)}.log"
        services.append(EmpireService(empire, log, **PATIENT | variables))
        if wait:
            wait_until(services[-1].answers, 2 * SECONDS)
        return services[-1]

    try:
        yield serve
    finally:
        for service in services:
            service.kill()
    for service in services:
        check_discretion(service.logged())


@pytest.fixture
def serve_empire(tmp_path: Path) -> Iterator[ServeEmpire]:
    with serving(tmp_path) as serve:
        yield serve
