import pytest

from {{ cookiecutter.package_name }}.server.master import Server
from {{ cookiecutter.package_name }}.server.proxy import (
    ProxyHeaders,
    RootPath,
)
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


def test_server_takes_the_settings(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_WORKERS", "3")

    server = Server({**get_server_settings().gunicorn_options(), "pidfile": None})

    assert server.cfg.workers == 3
    assert server.cfg.address == [("127.0.0.1", 8000)]
    assert isinstance(server.load(), ProxyHeaders)


def test_server_knows_its_prefix() -> None:
    server = Server(get_server_settings().gunicorn_options(), "/empire")

    loaded = server.load()

    assert isinstance(loaded, ProxyHeaders)
    assert isinstance(loaded._app.app, RootPath)
