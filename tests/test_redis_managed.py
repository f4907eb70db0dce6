"""The service with a Redis as providers run it: TLS, passwords, database numbers."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from conftest import StartRedis
from support import LOST, OK, SECONDS, Project, RedisServer, Service, wait_until

pytestmark = pytest.mark.slow

WARNING = "Could not connect to Redis: "
HOST = "127.0.0.1"
TLS = {"FASTAPI_REDIS_TLS": "true"}

CONTROLLER = """
from fastapi import APIRouter

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.get("")
async def index() -> str | None:
    await RedisClient.set("planet", "Hoth")
    return await RedisClient.get("planet")
"""


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def certificates(authority: trustme.CA, folder: Path, *hosts: str) -> Path:
    """Create a folder with a certificate for ``hosts``, its key, and the CA certificate."""
    folder.mkdir()
    issued = authority.issue_cert(*hosts)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca-cert.pem")
    return folder


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> Path:
    return certificates(authority, tmp_path / "tls", HOST)


@pytest.fixture
def trusted(tls: Path) -> dict[str, str]:
    """The settings of a service that trusts the authority."""
    return {**TLS, "FASTAPI_REDIS_CA_FILE": str(tls / "ca-cert.pem")}


def all_of(service: Service) -> set[object]:
    """Return the answers of the endpoints that use Redis."""
    return {service.get("/api/ready"), service.get("/api/planets")}


def test_service_connects_to_redis_with_tls(
    planets: Callable[..., Service], redis_server: StartRedis, tls: Path, trusted: dict[str, str]
) -> None:
    redis = redis_server("requirepass grand", tls=tls)
    service = planets(**redis.variables, **trusted, FASTAPI_REDIS_PASSWORD="grand")

    assert all_of(service) == {OK, (200, '"Hoth"')}


def test_authorities_of_the_system_are_trusted_unless_others_are_given(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    tls: Path,
    tmp_path: Path,
) -> None:
    redis = redis_server(tls=tls)
    system = {"SSL_CERT_FILE": str(tls / "ca-cert.pem")}
    other = certificates(trustme.CA(), tmp_path / "other", HOST) / "ca-cert.pem"
    given = {"FASTAPI_REDIS_CA_FILE": str(other)}

    assert all_of(planets(**redis.variables, **TLS, **system)) == {OK, (200, '"Hoth"')}
    assert all_of(planets(**redis.variables, **TLS, **system, **given)) == {LOST}


@pytest.mark.parametrize(
    ("hosts", "of_another", "reason"),
    [
        ([HOST], True, "certificate verify failed: self-signed certificate"),
        (["redis.example.com"], False, "IP address mismatch, certificate is not valid for"),
    ],
    ids=["authority", "host"],
)
def test_certificate_is_verified(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    authority: trustme.CA,
    trusted: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    hosts: list[str],
    of_another: bool,
    reason: str,
) -> None:
    issuer = trustme.CA() if of_another else authority
    redis = redis_server(tls=certificates(issuer, tmp_path / "wrong", *hosts))
    service = planets(**redis.variables, **trusted)

    assert all_of(service) == {LOST}
    logged = [line for line in capfd.readouterr().err.splitlines() if WARNING in line]
    assert len(logged) == 2
    assert [line for line in logged if reason not in line] == []


def test_certificate_for_a_name_is_invalid_for_the_address(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    authority: trustme.CA,
    trusted: dict[str, str],
    tmp_path: Path,
) -> None:
    redis = redis_server(tls=certificates(authority, tmp_path / "named", "localhost"))

    for host, answers in (("localhost", {OK, (200, '"Hoth"')}), (HOST, {LOST})):
        service = planets(**redis.variables, **trusted, FASTAPI_REDIS_HOST=host)
        assert all_of(service) == answers


@pytest.mark.parametrize("secure", ["server", "service"])
def test_tls_on_one_side_alone_is_a_502(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    tls: Path,
    trusted: dict[str, str],
    secure: str,
) -> None:
    redis = redis_server(tls=tls if secure == "server" else None)
    # A server without TLS keeps waiting for the end of what it takes for a command.
    patience = {"FASTAPI_REDIS_TIMEOUT": "2"}
    service = planets(**redis.variables, **patience, **(trusted if secure == "service" else {}))

    assert all_of(service) == {LOST}


def test_database_is_chosen_by_its_number(
    planets: Callable[..., Service], redis_server: StartRedis
) -> None:
    redis = redis_server()
    service = planets(**redis.variables, FASTAPI_REDIS_DB="3")

    assert service.get("/api/planets") == (200, '"Hoth"')
    assert redis.send("-n", "3", "get", "planet") == "Hoth\n"
    assert redis.send("exists", "planet") == "0\n"


# The permissions that the service needs on a Sentinel; HELLO is always allowed.
SENTINEL_USER = "user vader on >sith -@all +sentinel|masters"


@pytest.fixture
def watched(redis_server: StartRedis) -> Callable[..., tuple[RedisServer, dict[str, str]]]:
    """Start a master with a password, and a Sentinel with other credentials."""

    def watched(tls: Path | None = None) -> tuple[RedisServer, dict[str, str]]:
        master = redis_server("requirepass grand", tls=tls)
        sentinel = redis_server(
            f"sentinel monitor mymaster {HOST} {master.port} 1",
            "sentinel auth-pass mymaster grand",
            "requirepass moff",
            SENTINEL_USER,
            sentinel=True,
            tls=tls,
        )
        return master, {
            "FASTAPI_USE_REDIS": "true",
            "FASTAPI_REDIS_USE_SENTINEL": "true",
            "FASTAPI_REDIS_SENTINELS": f"{HOST}:{sentinel.port}",
            "FASTAPI_REDIS_PASSWORD": "grand",
        }

    return watched


@pytest.mark.parametrize(
    ("name", "password", "answers"),
    [
        ("", "moff", {OK, (200, '"Hoth"')}),
        ("vader", "sith", {OK, (200, '"Hoth"')}),
        ("vader", "moff", {LOST}),
        ("", "grand", {LOST}),
        ("", "", {LOST}),
    ],
)
def test_sentinels_have_separate_credentials(
    planets: Callable[..., Service],
    watched: Callable[..., tuple[RedisServer, dict[str, str]]],
    name: str,
    password: str,
    answers: set[object],
) -> None:
    _, variables = watched()
    service = planets(
        **variables,
        FASTAPI_REDIS_SENTINEL_USERNAME=name,
        FASTAPI_REDIS_SENTINEL_PASSWORD=password,
    )

    assert all_of(service) == answers


@pytest.mark.parametrize("trust", [True, False])
def test_service_connects_to_sentinels_and_master_with_tls(
    planets: Callable[..., Service],
    watched: Callable[..., tuple[RedisServer, dict[str, str]]],
    tls: Path,
    trusted: dict[str, str],
    trust: bool,
) -> None:
    master, variables = watched(tls)
    service = planets(
        **variables,
        **(trusted if trust else TLS),
        FASTAPI_REDIS_SENTINEL_PASSWORD="moff",
        FASTAPI_REDIS_DB="3",
    )

    assert all_of(service) == ({OK, (200, '"Hoth"')} if trust else {LOST})
    if trust:
        words = ("-a", "grand", "--no-auth-warning", "-n", "3", "get", "planet")
        assert master.send(*words) == "Hoth\n"


def test_failover_needs_no_restart_with_tls(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    tls: Path,
    trusted: dict[str, str],
) -> None:
    master = redis_server(tls=tls)
    replica = redis_server(f"replicaof {HOST} {master.port}", tls=tls)
    sentinel = redis_server(
        f"sentinel monitor mymaster {HOST} {master.port} 1",
        "sentinel down-after-milliseconds mymaster 500",
        sentinel=True,
        tls=tls,
    )
    wait_until(lambda: "num-slaves\n1\n" in sentinel.send("sentinel", "master", "mymaster"))
    wait_until(lambda: "master_link_status:up" in replica.send("info", "replication"))
    service = planets(
        **trusted,
        FASTAPI_USE_REDIS="true",
        FASTAPI_REDIS_USE_SENTINEL="true",
        FASTAPI_REDIS_SENTINELS=f"{HOST}:{sentinel.port}",
    )
    assert service.get("/api/ready") == OK

    master.kill()
    assert service.get("/api/ready") == LOST

    wait_until(lambda: service.answers("/api/ready"), seconds=60)
    assert service.get("/api/planets") == (200, '"Hoth"')
    assert replica.send("role").startswith("master")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("REDIS_CA_FILE", "/nowhere/ca.pem", "cannot be read: No such file or directory"),
        ("REDIS_CA_FILE", __file__, "holds no certificate in PEM form"),
        (
            "REDIS_HOST",
            "redis://redis:6379",
            "must be only a host name or an IP address, without scheme, port, path or brackets",
        ),
        ("REDIS_SENTINELS", "redis://one:1", "must be a list such as host:26379,other:26379"),
        ("REDIS_DB", "-1", "Input should be greater than or equal to 0"),
    ],
)
def test_bad_value_prevents_the_start_with_one_sentence(
    full: Project, name: str, value: str, reason: str
) -> None:
    done = subprocess.run(
        [full.python, "-m", full.package.name, "serve"],
        env={**TLS, f"FASTAPI_{name}": value},
        cwd=full.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: FASTAPI_{name}={value!r}: {reason}.\n"
