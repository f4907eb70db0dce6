import pytest

from {{ cookiecutter.package_name }}.config import SettingsError
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


@pytest.mark.parametrize(
    "bind",
    [":8000", "0.0.0.0:80", "localhost:8000", "[::1]:8000", "unix:/run/http.sock"],
)
def test_bind_takes_every_kind_of_address(
    settings: pytest.MonkeyPatch, bind: str
) -> None:
    settings.setenv("FASTAPI_BIND", bind)

    assert get_server_settings().gunicorn_options()["bind"] == bind


@pytest.mark.parametrize("peers", ["*", "10.0.0.0/8, ::1"])
def test_proxies_are_addresses_or_all(settings: pytest.MonkeyPatch, peers: str) -> None:
    settings.setenv("FASTAPI_FORWARDED_ALLOW_IPS", peers)

    assert get_server_settings().gunicorn_options()["forwarded_allow_ips"] == peers


@pytest.mark.parametrize("name", ["uvicorn_worker.UvicornH11Worker", "asgi"])
def test_worker_class_may_be_another(settings: pytest.MonkeyPatch, name: str) -> None:
    settings.setenv("FASTAPI_WORKER_CLASS", name)

    assert get_server_settings().gunicorn_options()["worker_class"] == name


@pytest.mark.parametrize(("switch", "log"), [("true", "-"), ("false", None)])
def test_access_log_is_a_switch(
    settings: pytest.MonkeyPatch, switch: str, log: str | None
) -> None:
    settings.setenv("FASTAPI_ACCESS_LOG", switch)

    assert get_server_settings().gunicorn_options()["accesslog"] == log


def test_application_logs_like_gunicorn(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_GUNICORN_LOG_LEVEL", "debug")

    logging = get_server_settings().gunicorn_options()["logconfig_dict"]
    root, gunicorn = logging["root"], logging["loggers"]["gunicorn.error"]

    assert root["level"] == gunicorn["level"] == "DEBUG"
    assert root["handlers"] == gunicorn["handlers"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("WORKERS", "zero", "Input should be a valid integer"),
        ("WORKERS", "0", "Input should be greater than 0"),
        ("BIND", "nowhere", "must be HOST:PORT or unix:PATH"),
        ("BIND", ":65536", "must be HOST:PORT or unix:PATH"),
        ("BIND", "unix:/", "exists, and is no socket"),
        ("ROOT_PATH", "empire/", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "//empire", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "/100%", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "/empire?a=b", "must be empty, or begin with a slash"),
        ("WORKER_CLASS", "nonsense", "must be a worker class that speaks ASGI"),
        ("WORKER_CLASS", "sync", "must be a worker class that speaks ASGI"),
        ("WORKER_CLASS", "os.path.join", "must be a worker class that speaks ASGI"),
        ("FORWARDED_ALLOW_IPS", "127.0.0.1,localhost", "'localhost' does not appear"),
        ("GUNICORN_LOG_FORMAT", "%(nope", "is no format of a log line"),
        ("GUNICORN_LOG_FORMAT", "%(nope)s", "is no format of a log line"),
        ("GUNICORN_LOG_LEVEL", "loud", "Input should be 'debug', 'info'"),
    ],
)
def test_bad_value_is_refused_by_name(
    settings: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    settings.setenv(f"FASTAPI_{name}", value)

    with pytest.raises(SettingsError) as error:
        get_server_settings()

    assert str(error.value).startswith(f"FASTAPI_{name}='{value}': {reason}")
