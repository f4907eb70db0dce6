import pytest
from fastapi import FastAPI

from {{ cookiecutter.package_name }}.server.master import Server
from {{ cookiecutter.package_name }}.server.proxy import (
    RootPath,
    UnixPeer,
)
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


def test_server_takes_the_settings(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_WORKERS", "3")

    server = Server({**get_server_settings().gunicorn_options(), "pidfile": None})

    assert server.cfg.workers == 3
    assert server.cfg.address == [("127.0.0.1", 8000)]
    assert isinstance(server.load(), FastAPI)


def test_server_on_unix_socket_trusts_its_peer(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_BIND", "unix:/run/http.sock")

    server = Server(get_server_settings().gunicorn_options())

    assert isinstance(server.load(), UnixPeer)


def test_server_knows_its_prefix() -> None:
    server = Server(get_server_settings().gunicorn_options(), "/empire")

    assert isinstance(server.load(), RootPath)
