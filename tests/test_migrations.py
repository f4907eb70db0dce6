"""The `db` commands of a project, on SQLite and on a real PostgreSQL."""

import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from postgresql import (
    OWNER,
    PATIENT,
    Empire,
    PgBouncer,
    PostgreSQL,
    ServeEmpire,
    check_discretion,
)
from support import OK, SECONDS, run, wait_until

pytestmark = pytest.mark.slow

NOTE = 'open(os.environ["RUNS"], "a").write("run\\n")'
TABLE = 'op.create_table("{}", sa.Column("id", sa.Integer, primary_key=True))'
DROP = 'op.drop_table("{}")'
# Long enough for all other processes to start meanwhile.
SLOW = "time.sleep(3)"
AT_ONCE = 8
IMPATIENT = {"FASTAPI_DATABASE_TIMEOUT": "2"}


def lines(*statements: str) -> str:
    """Return the body of a function."""
    return "\n    ".join(statements)


@pytest.fixture
def project(bare: Empire, tmp_path: Path) -> Empire:
    """A project without models and migrations."""
    return bare.copy(tmp_path / "project")


def at(url: str, **variables: str) -> dict[str, str]:
    return {**PATIENT, "FASTAPI_DATABASE_URL": url, **variables}


def upgrade_at_once(project: Empire, **variables: str) -> Counter[str]:
    """Upgrade in many processes at once; return a count of each printed line."""
    printed: Counter[str] = Counter()
    processes = [
        subprocess.Popen(
            [project.python, "-m", project.package.name, "db", "upgrade"],
            cwd=project.path,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=6 * SECONDS)
            check_discretion(output)
            assert process.returncode == 0, output
            printed.update(output.splitlines())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return printed


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the error of a command that must have failed."""
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


@pytest.fixture
def dump(url: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Dump the contents of the test's database as statements."""

    def dump() -> str:
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
                return "\n".join(connection.iterdump())
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.dump(request.getfixturevalue("database"))

    return dump


def test_of_concurrent_upgrades_only_one_runs_the_migrations(
    project: Empire, url: str, tmp_path: Path, dump: Callable[[], str]
) -> None:
    runs = tmp_path / "runs"
    project.migration("moons", None, lines(NOTE, SLOW, TABLE.format("moons")))
    # Upgrades wait for each other for longer than the timeout of the service.
    variables = at(url, RUNS=str(runs), **IMPATIENT if url.startswith("sqlite") else {})

    printed = upgrade_at_once(project, **variables)

    assert printed == {
        "Applied moons Moons.": 1,
        "The database already has all migrations.": AT_ONCE - 1,
    }
    assert runs.read_text() == "run\n"
    assert "CREATE TABLE" in dump()


def test_index_is_created_concurrently_while_others_wait_to_upgrade(
    project: Empire, url: str, tmp_path: Path, dump: Callable[[], str]
) -> None:
    runs = tmp_path / "runs"
    rows = ", ".join(f"({number})" for number in range(1000))
    fill = f"op.execute('INSERT INTO moons (id) VALUES {rows}')"
    project.migration("moons", None, lines(TABLE.format("moons"), fill))
    index = "op.create_index('ix_moons', 'moons', ['id'], postgresql_concurrently=True)"
    # This commits everything that was done before it.
    block = f"with op.get_context().autocommit_block(): {SLOW}; {index}"
    project.migration("indexed", "moons", lines(NOTE, block))

    printed = upgrade_at_once(project, **at(url, RUNS=str(runs)))

    assert printed == {
        "Applied moons Moons.": 1,
        "Applied indexed Indexed.": 1,
        "The database already has all migrations.": AT_ONCE - 1,
    }
    assert runs.read_text() == "run\n"
    assert "CREATE INDEX ix_moons" in dump()


def test_migration_can_take_longer_than_the_timeout_of_the_service(
    project: Empire, postgresql: PostgreSQL, database: str
) -> None:
    project.migration("slow", None, "op.execute('SELECT pg_sleep(4)')")
    # The command's other connection is idle meanwhile, and only holds the lock.
    for limit in ("idle_in_transaction_session_timeout", "statement_timeout"):
        postgresql.sql(f"ALTER DATABASE {database} SET {limit} = '1s'")

    done = project.db("upgrade", **at(postgresql.url(database), **IMPATIENT))

    assert (done.returncode, done.stdout) == (0, "Applied slow Slow.\n"), done.stderr


def processes(server: PostgreSQL, database: str, condition: str) -> list[str]:
    """Return the PIDs of the connections to a database that match a condition."""
    found = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND {condition}"
    return server.sql(found).split()


SLEEPS = "query LIKE 'SELECT pg_sleep%' AND state = 'active'"


@contextmanager
def sleeping(
    project: Empire, server: PostgreSQL, database: str, seconds: int
) -> Iterator["subprocess.Popen[str]"]:
    """Start an upgrade, and yield it in the middle of a migration."""
    project.migration("slow", None, f"op.execute('SELECT pg_sleep({seconds})')")
    with subprocess.Popen(
        [project.python, "-m", project.package.name, "db", "upgrade"],
        cwd=project.path,
        env={**os.environ, **at(server.url(database))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until(lambda: bool(processes(server, database, SLEEPS)))
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_upgrade_leaves_nothing_behind(
    project: Empire, postgresql: PostgreSQL, database: str, number: int
) -> None:
    with sleeping(project, postgresql, database, 600) as upgrade:
        upgrade.send_signal(number)
        printed, _ = upgrade.communicate(timeout=SECONDS)

    assert (upgrade.returncode, printed.strip()) == (1, "Aborted!")
    wait_until(lambda: not processes(postgresql, database, "true"))
    done = project.db("current", **at(postgresql.url(database)))
    assert "The database is at no migration, the code at slow." in done.stdout


def test_upgrade_succeeds_when_the_connection_with_the_lock_is_lost(
    project: Empire, postgresql: PostgreSQL, database: str
) -> None:
    with sleeping(project, postgresql, database, 2) as upgrade:
        [holder] = processes(postgresql, database, "state = 'idle in transaction'")
        postgresql.sql(f"SELECT pg_terminate_backend({holder})")
        printed, _ = upgrade.communicate(timeout=SECONDS)

    assert (upgrade.returncode, printed) == (0, "Applied slow Slow.\n")


def test_failed_migration_leaves_the_database_as_it_was(
    project: Empire, url: str, dump: Callable[[], str]
) -> None:
    project.migration("moons", None, TABLE.format("moons"))
    project.migrate(**at(url))
    before = dump()
    insert = 'op.execute("INSERT INTO {} (id) VALUES (1)")'
    project.migration("suns", "moons", lines(TABLE.format("suns"), insert.format("moons")))
    project.migration("comets", "suns", lines(TABLE.format("comets"), insert.format("nothing")))

    error = sentence(project.db("upgrade", **at(url)))

    assert error.startswith("The migration failed: ")
    assert "nothing" in error
    assert dump() == before
    project.migration("comets", "suns", TABLE.format("comets"))
    done = project.db("upgrade", **at(url))
    assert done.stdout == "Applied suns Suns.\nApplied comets Comets.\n"


def test_failure_of_a_concurrent_index_is_one_sentence(project: Empire, url: str) -> None:
    fill = "op.execute('INSERT INTO moons (id) VALUES (2), (4)')"
    project.migration("moons", None, lines(TABLE.format("moons"), fill))
    index = "CREATE UNIQUE INDEX {} ix_moons ON moons ((id % 2))"
    concurrently = "" if url.startswith("sqlite") else "CONCURRENTLY"
    block = "with op.get_context().autocommit_block(): op.execute('{}')"
    project.migration("indexed", "moons", block.format(index.format(concurrently)))

    error = sentence(project.db("upgrade", **at(url)))

    assert "unique" in error.lower()
    assert "ix_moons" in error


def test_database_is_behind_equal_newer_or_diverged(
    project: Empire, url: str, tmp_path: Path, serve_empire: ServeEmpire
) -> None:
    project.migration("moons", None, TABLE.format("moons"))
    old, other, new, newer, between = (
        project.copy(tmp_path / name) for name in ("old", "other", "new", "newer", "between")
    )
    for each in (new, newer):
        each.migration("suns", "moons", TABLE.format("suns"))
    other.migration("comets", "moons", TABLE.format("comets"))
    newer.migration("stars", "suns", TABLE.format("stars"))
    between.migration("rings", "moons", TABLE.format("rings"))
    between.migration("suns", "rings", TABLE.format("suns"))
    new.migrate(**at(url))
    choices = {"old": old, "other": other, "new": new, "newer": newer, "between": between}

    services = {name: serve_empire(each, wait=False, **at(url)) for name, each in choices.items()}
    for service in services.values():
        wait_until(service.answers, 2 * SECONDS)
    states = {name: service.get("/api/ready")[0] for name, service in services.items()}
    upgraded = old.db("upgrade", **at(url))
    refused = sentence(other.db("upgrade", **at(url)))
    assert "They have diverged: " in sentence(between.db("upgrade", **at(url)))

    assert states == {"old": 200, "other": 502, "new": 200, "newer": 502, "between": 502}
    is_newer = "The database is at suns, the code at moons."
    assert (upgraded.returncode, upgraded.stdout) == (
        0,
        f"{is_newer} It is newer, so nothing was changed.\n",
    )
    assert is_newer in services["old"].logged()
    has_diverged = "The database is at suns, the code at comets."
    assert refused.startswith(f"{has_diverged} They have diverged: go back to the code that has ")
    assert has_diverged in services["other"].logged()
    assert "The database is at suns, the code at stars." in services["newer"].logged()
    assert services["newer"].get("/api/live") == OK

    newer.migrate(**at(url))
    # Without restarting any of them.
    states = {
        name: services[name].get("/api/ready")[0] for name in ("old", "other", "new", "newer")
    }
    assert states == {"old": 200, "other": 502, "new": 200, "newer": 200}


def test_two_newest_migrations_are_reported_with_the_remedy(project: Empire, url: str) -> None:
    project.migration("moons", None, TABLE.format("moons"))
    project.migrate(**at(url))
    project.migration("suns", "moons", TABLE.format("suns"))
    project.migration("comets", "moons", TABLE.format("comets"))

    errors = {sentence(project.db(*words, **at(url))) for words in (["upgrade"], ["check"])}

    (one,) = errors
    assert "suns.py" in one
    assert "comets.py" in one
    assert "down_revision" in one


def test_models_and_migrations_are_compared(
    empire: Empire, bare: Empire, tmp_path: Path, url: str
) -> None:
    without = empire.copy(tmp_path)
    (migration,) = without.revisions()
    (without.package / f"migrations/versions/{migration}.py").unlink()

    missing = sentence(without.db("check", **at(url)))
    assert "add_table planets" in missing
    assert missing.endswith('Type: make migration MESSAGE="..."')
    for project in (empire, bare):
        done = project.db("check", **at(url))
        assert done.returncode == 0, done.stderr
    # The configured database was not used.
    assert not (tmp_path / "test.db").exists()


def test_all_migrations_are_undone_and_applied_again(
    empire: Empire, url: str, dump: Callable[[], str]
) -> None:
    variables = at(url)
    (revision,) = (name.split("_")[0] for name in empire.revisions())
    empire.migrate(**variables)
    before = dump()

    done = empire.db("downgrade", "base", **variables)
    assert done.stdout == f"Reverted {revision} create planets.\n", done.stderr
    assert "planets" not in dump()
    # Not even its revision is left.
    assert revision not in dump()
    assert empire.db("current", **variables).stdout.endswith(
        f"The database is at no migration, the code at {revision}. State: behind.\n"
    )
    empire.migrate(**variables)
    assert dump() == before
    assert empire.db("current", **variables).stdout.endswith(
        f"The database is at {revision}, the code at {revision}. State: equal.\n"
    )


def test_printed_statements_have_the_same_effect_as_an_upgrade(
    empire: Empire, postgresql: PostgreSQL, database: str, tmp_path: Path, serve_empire: ServeEmpire
) -> None:
    upgraded, fed = (postgresql.url(name) for name in (database, f"{database}_fed"))
    postgresql.add(f"{database}_fed")
    empire.migrate(**at(upgraded))

    printed = empire.db("upgrade", "--sql", **at(fed))
    assert (printed.returncode, printed.stderr) == (0, "")
    file = tmp_path / "upgrade.sql"
    file.write_text(f"SET ROLE {OWNER};\n{printed.stdout}")
    options = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file))
    run(*postgresql.client("psql", f"{database}_fed", *options), cwd=tmp_path)

    assert postgresql.dump(f"{database}_fed") == postgresql.dump(database)
    assert serve_empire(empire, **at(fed)).get("/api/ready") == OK


def test_migration_gives_up_on_a_locked_table(
    project: Empire, postgresql: PostgreSQL, database: str
) -> None:
    variables = at(postgresql.url(database))
    project.migration("moons", None, TABLE.format("moons"))
    project.migrate(**variables)
    before = postgresql.dump(database)
    column = 'op.add_column("moons", sa.Column("size", sa.Integer))'
    project.migration("sizes", "moons", lines(TABLE.format("suns"), column))

    with postgresql.holding("LOCK TABLE moons IN ACCESS SHARE MODE", database):
        error = sentence(project.db("upgrade", **variables))

    assert error.startswith("A table was in use for more than 5s")
    assert postgresql.dump(database) == before
    project.migrate(**variables)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["upgrade", "nowhere"], "nowhere"),
        (["downgrade", "nowhere"], "nowhere"),
        (["downgrade", "-7"], "-7"),
        (["upgrade", "--sql", "nowhere"], "nowhere"),
    ],
    ids=["up", "down", "far down", "statements"],
)
def test_error_of_alembic_is_one_sentence(
    project: Empire, tmp_path: Path, words: list[str], named: str
) -> None:
    project.migration("moons", None, TABLE.format("moons"))
    words = [words[0], *(["--"] if named.startswith("-") else []), *words[1:]]

    error = sentence(project.db(*words, **at(f"sqlite:///{tmp_path}/test.db")))

    assert named in error


@pytest.mark.parametrize("words", [["upgrade"], ["history"], ["check"]], ids=" ".join)
def test_missing_predecessor_is_one_sentence(
    project: Empire, tmp_path: Path, words: list[str]
) -> None:
    project.migration("suns", "moons", TABLE.format("suns"))

    assert "moons" in sentence(project.db(*words, **at(f"sqlite:///{tmp_path}/test.db")))


def test_commands_work_with_transaction_pooling(
    project: Empire, postgresql: PostgreSQL, bouncer: PgBouncer, database: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    undo = DROP.format("moons")
    project.migration("moons", None, lines(NOTE, SLOW, TABLE.format("moons")), undo)
    variables = at(bouncer.url(database), RUNS=str(runs))
    variables["FASTAPI_DATABASE_PREPARED_STATEMENTS"] = "false"

    printed = upgrade_at_once(project, **variables)

    assert printed["Applied moons Moons."] == 1
    assert runs.read_text() == "run\n"
    done = project.db("downgrade", "base", **variables)
    assert done.stdout == "Reverted moons Moons.\n", done.stderr
    project.migrate(**variables)
    assert project.db("current", **variables).stdout.endswith(
        "The database is at moons, the code at moons. State: equal.\n"
    )
    assert "CREATE TABLE public.moons" in postgresql.dump(database)
