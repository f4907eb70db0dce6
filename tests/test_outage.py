"""The service under load, when a Redis managed by an operator breaks."""

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from stress.outage import (
    CONTROLLER,
    HOSTS,
    REDIS_PORT,
    SENTINEL_PORT,
    Group,
    Load,
    alone,
    disconnect_clients,
    serve,
    with_mounts,
    written,
)
from support import LOST, PATIENT, Project, Service, wait_until, with_controller

pytestmark = pytest.mark.slow

UnderLoad = Callable[..., AbstractContextManager[Load]]

LONG, SHORT = 600, 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server")
    if not with_mounts():
        pytest.skip("needs `unshare` with permission to mount")
    with alone():
        for host in HOSTS:
            port = REDIS_PORT if host in HOSTS[:3] else SENTINEL_PORT
            try:
                socket.create_server((host, port)).close()
            except OSError as error:
                pytest.skip(f"needs {host}:{port}: {error}")
        with Group.running(tmp_path_factory.mktemp("group")) as group:
            yield group


@pytest.fixture
def group(running: Group) -> Group:
    """A repaired group, whose Sentinels are slow to fail over."""
    running.repair()
    running.give_up_after(LONG)
    return running


@pytest.fixture
def under_load(full: Project, group: Group, tmp_path: Path) -> UnderLoad:
    """Serve under load until the service has recovered; check all answers."""
    path = with_controller(full, tmp_path, CONTROLLER)

    @contextmanager
    def under_load(**variables: str) -> Iterator[Load]:
        service = serve(full.python, full.package.name, group.hosts, **path, **variables)
        try:
            wait_until(lambda: service.answers("/api/ready"))
            started = processes(service)
            load = Load(service)
            with load.running(threads=4):
                load.wait_for_recovery()
                yield load
                group.wait_until_whole()
                load.wait_for_recovery()
            assert processes(service) == started
        finally:
            service.kill()
        assert {(it.status, it.body) for it in load.answers if it.status != 200} <= {LOST}
        kept = [body for body in written(load.answers) if body["replicas"]]
        assert [body for body in kept if body["read"] != body["key"]] == []
        assert {body["key"] for body in kept} - group.keys() == set()

    return under_load


def processes(service: Service) -> list[int]:
    """Return the PIDs of the master and its two workers."""
    workers = service.workers()
    assert len(workers) == 2
    return [service.process.pid, *sorted(workers)]


def lose(load: Load, group: Group, fault: Callable[[], None]) -> None:
    """Break the master of a group, and return when the service uses the new one."""
    old = group.master
    fault()
    # The Sentinels fail over only after the service has reported that Redis is lost.
    wait_until(lambda: load.service.answers("/api/ready", 502))
    assert load.service.get("/api/ready") == LOST
    assert load.service.get("/api/live") == (200, '{"status":"ok"}')
    group.give_up_after(SHORT)
    group.wait_for_failover(old)
    wait_until(lambda: load.service.answers("/api/ready"))
    load.wait_for_recovery()


def failures(load: Load) -> int:
    return sum(answer.status != 200 for answer in load.answers)


def test_killed_master_is_replaced_and_comes_back_as_a_replica(
    group: Group, under_load: UnderLoad
) -> None:
    old = group.master
    with under_load(**PATIENT) as load:
        lose(load, group, old.kill)
        old.start()

    assert failures(load)
    assert old.send("role").startswith("slave")


def test_master_that_hangs_is_replaced_and_becomes_a_replica(
    group: Group, under_load: UnderLoad
) -> None:
    old = group.master
    with under_load() as load:
        lose(load, group, old.hang)
        old.resume()

    assert failures(load)
    assert old.send("role").startswith("slave")


def test_master_that_restarts_at_once_keeps_its_data(group: Group, under_load: UnderLoad) -> None:
    old = group.master
    with under_load(**PATIENT):
        old.kill()
        old.start()

    assert group.master is old


def test_restart_of_the_sentinels_fails_no_request(group: Group, under_load: UnderLoad) -> None:
    master = group.master
    with under_load(**PATIENT) as load:
        for sentinel in group.sentinels:
            sentinel.kill()
            # The service must find the master again while a Sentinel is down.
            disconnect_clients(master)
            load.wait_for_recovery()
            sentinel.start()
            group.wait_until_whole()

    assert failures(load) == 0


def test_one_sentinel_that_answers_is_enough(group: Group, under_load: UnderLoad) -> None:
    master = group.master
    with under_load(**PATIENT) as load:
        for sentinel in group.sentinels[:2]:
            sentinel.hang()
        disconnect_clients(master)
        load.wait_for_recovery()
        for sentinel in group.sentinels[:2]:
            sentinel.resume()

    assert failures(load) == 0
