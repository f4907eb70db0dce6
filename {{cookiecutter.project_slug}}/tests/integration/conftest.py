"""Fixtures that start the service in a separate process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

PACKAGE = "{{ cookiecutter.package_name }}"
SECONDS = 30


@dataclass
class Service:
    """A running service on a TCP port of this machine."""

    process: subprocess.Popen[bytes]
    port: int

    def get(self, path: str) -> tuple[int, str]:
        """Return the status code and the body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def wait_until_it_answers(self) -> None:
        """Wait for the first response; fail if the process ends before."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the service stopped"
            try:
                self.get("/api/live")
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("the service does not answer")

    def stop(self) -> int:
        """Send SIGTERM to the master; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


def free_port() -> int:
    """Return a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Start services with settings given as variables; stop them after the test."""
    services: list[Service] = []

    def start(**variables: str) -> Service:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", PACKAGE, "serve", "--bind", f"127.0.0.1:{port}"],
            env={**os.environ, **variables},
            start_new_session=True,
        )
        service = Service(process, port)
        services.append(service)
        service.wait_until_it_answers()
        return service

    yield start
    for service in services:
        # The whole group: workers would outlive a killed master.
        with suppress(ProcessLookupError):
            os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait()
