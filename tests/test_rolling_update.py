"""A release that changes a table, rolled out as in docs/deployment/database.md.

Processes represent pods, and a list of them represents the Service in front of them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
from postgresql import Empire, EmpireService, PostgreSQL, ServeEmpire
from support import TEMPLATE, wait_until

pytestmark = pytest.mark.slow

PAGE = TEMPLATE / "docs/deployment/database.md"
CLIENTS = 4
JSON = {"Content-Type": "application/json"}


class Pods:
    """The pods that receive requests, and a count of their answers."""

    def __init__(self) -> None:
        """Start without pods."""
        self.lock = Lock()
        self.ready: list[tuple[str, EmpireService]] = []
        self.busy: Counter[EmpireService] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.turn = 0

    def add(self, version: str, pod: EmpireService) -> None:
        """Wait until a pod is ready, and then send requests to it."""
        wait_until(lambda: pod.answers("/api/ready"))
        with self.lock:
            self.ready.append((version, pod))

    def retire(self, pod: EmpireService) -> None:
        """Stop sending requests to a pod, and stop it, as Kubernetes does after `preStop`."""
        with self.lock:
            self.ready = [each for each in self.ready if each[1] is not pod]
        wait_until(lambda: not self.busy[pod])
        assert pod.stop() == 0

    def ask(self) -> None:
        """Store a planet with the next pod, and read it back."""
        with self.lock:
            self.turn += 1
            number = self.turn
            version, pod = self.ready[number % len(self.ready)]
            self.busy[pod] += 1
        try:
            planet = json.dumps({"name": f"planet-{number}", "size": number}).encode()
            stored = pod.request("POST", "/api/planets", planet, JSON)[0]
            shown = pod.get(f"/api/planets?size={number}")[0]
            answer = f"{stored} {shown}" if (stored, shown) != (201, 200) else "good"
        except (OSError, HTTPException) as error:
            answer = repr(error)
        with self.lock:
            self.busy[pod] -= 1
            self.answers[version, answer] += 1

    def wait_for(self, version: str, more: int = 50) -> None:
        """Wait for ``more`` successful answers of a version; fail on any bad answer."""
        before = self.answers[version, "good"]
        wait_until(lambda: self.bad() or self.answers[version, "good"] >= before + more)
        assert not self.bad()

    def bad(self) -> dict[tuple[str, str], int]:
        """Return the count of each failure, by version."""
        return {each: count for each, count in self.answers.items() if each[1] != "good"}


@contextmanager
def load(pods: Pods) -> Iterator[None]:
    """Let clients send requests without pausing."""
    done = Event()

    def client() -> None:
        while not done.is_set():
            pods.ask()

    threads = [Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def documented(step: str) -> str:
    """Return the body of the page's migration for a step."""
    body = rf"\*\*{step}\.\*\*.*?\"\"\"Apply the change\.\"\"\"\n(.*?)```"
    [found] = re.findall(body, PAGE.read_text("utf-8"), re.DOTALL)
    return str(found).replace("cities", "planets").strip()


def release(before: Empire, folder: Path, step: str, follows: str) -> Empire:
    """Return a copy of a release with the migration of a step."""
    after = before.copy(folder)
    after.migration(step.lower(), follows, documented(step))
    return after


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def versions(empire: Empire, tmp_path: Path) -> list[Empire]:
    """Three releases: before the change, after the expansion, after the contraction."""
    [head] = empire.revisions()
    second = release(empire, tmp_path / "2", "Expand", head.partition("_")[0])
    size = "    size: Mapped[int]\n"
    column = "    country: Mapped[str] = mapped_column(String(2)%s)\n"
    expanded = column % ', server_default=""'
    edit(second.package / "app/models/planet.py", size, size + expanded)
    edit(
        second.package / "app/controllers/planets.py",
        "    size: int\n",
        '    size: int\n    country: str = "PT"\n',
    )
    third = release(second, tmp_path / "3", "Contract", "expand")
    edit(third.package / "app/models/planet.py", expanded, column % "")
    return [empire, second, third]


def test_change_of_a_table_fails_no_request(
    versions: list[Empire], postgresql: PostgreSQL, database: str, serve_empire: ServeEmpire
) -> None:
    first, second, third = versions
    url = {"FASTAPI_DATABASE_URL": postgresql.url(database)}
    first.migrate(**url)
    pods = Pods()
    old = [serve_empire(first, **url) for _ in range(2)]
    for pod in old:
        pods.add("first", pod)

    with load(pods):
        pods.wait_for("first")
        # The chart starts both at once: new code receives no requests before its migration.
        new = [serve_empire(second, wait=False, **url)]
        wait_until(new[0].answers)
        assert not new[0].answers("/api/ready")
        second.migrate(**url)
        pods.wait_for("first")
        new.append(serve_empire(second, **url))
        for pod, successor in zip(old, new, strict=True):
            pods.add("second", successor)
            pods.wait_for("second")
            pods.retire(pod)
        pods.wait_for("second")

        # Roll back the code alone: the database is then newer than the code.
        first.migrate(**url)
        back = serve_empire(first, **url)
        pods.add("first", back)
        pods.wait_for("first")
        pods.retire(back)

        third.migrate(**url)
        pods.wait_for("second")
        newest = serve_empire(third, **url)
        pods.add("third", newest)
        for pod in new:
            pods.retire(pod)
        pods.wait_for("third")

    assert not pods.bad()
    countries = postgresql.sql("SELECT DISTINCT country FROM planets", database)
    assert countries == "PT\n"
