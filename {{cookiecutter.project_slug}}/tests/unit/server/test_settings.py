from pathlib import Path

import pytest

from {{ cookiecutter.package_name }}.config import SettingsError
from {{ cookiecutter.package_name }}.server import (
    settings as server_settings,
)
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


@pytest.mark.parametrize(
    "bind",
    [":8000", "0.0.0.0:80", "localhost:8000", "[::1]:8000", "unix:/run/http.sock"],
)
def test_bind_accepts_every_kind_of_address(
    settings: pytest.MonkeyPatch, bind: str
) -> None:
    settings.setenv("FASTAPI_BIND", bind)

    assert get_server_settings().gunicorn_options()["bind"] == [bind]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "localhost", "shop-1.example", "my_service", "[::]", "[::1]"]
)
def test_bind_without_a_port_uses_port_8000(
    settings: pytest.MonkeyPatch, host: str
) -> None:
    settings.setenv("FASTAPI_BIND", host)

    assert get_server_settings().gunicorn_options()["bind"] == [f"{host}:8000"]


@pytest.mark.parametrize(("requests", "jitter"), [(0, 0), (1000, 100)])
def test_max_requests_has_a_jitter(
    settings: pytest.MonkeyPatch, requests: int, jitter: int
) -> None:
    settings.setenv("FASTAPI_MAX_REQUESTS", str(requests))

    options = get_server_settings().gunicorn_options()

    assert options["max_requests"] == requests
    assert options["max_requests_jitter"] == jitter


@pytest.mark.parametrize("level", ["INFO", "Info", "info"])
def test_log_level_ignores_case(settings: pytest.MonkeyPatch, level: str) -> None:
    settings.setenv("FASTAPI_GUNICORN_LOG_LEVEL", level)

    assert get_server_settings().gunicorn_options()["loglevel"] == "info"


def test_unwritable_shared_memory_is_not_used(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.setattr(server_settings, "SHARED_MEMORY", str(tmp_path))
    options = get_server_settings().gunicorn_options()
    assert options["worker_tmp_dir"] == str(tmp_path)

    settings.setattr(server_settings, "SHARED_MEMORY", str(tmp_path / "missing"))
    assert get_server_settings().gunicorn_options()["worker_tmp_dir"] is None


def test_reuse_port_needs_a_port(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REUSE_PORT", "true")
    assert get_server_settings().gunicorn_options()["reuse_port"] is True

    get_server_settings.cache_clear()
    settings.setenv("FASTAPI_BIND", "unix:/run/http.sock")

    with pytest.raises(SettingsError, match=r"^FASTAPI_REUSE_PORT needs HOST"):
        get_server_settings()


@pytest.mark.parametrize("peers", ["*", "10.0.0.0/8, ::1"])
def test_proxies_are_addresses_or_all(settings: pytest.MonkeyPatch, peers: str) -> None:
    settings.setenv("FASTAPI_FORWARDED_ALLOW_IPS", peers)

    assert get_server_settings().gunicorn_options()["forwarded_allow_ips"] == peers


@pytest.mark.parametrize("name", ["uvicorn_worker.UvicornH11Worker", "asgi"])
def test_worker_class_can_be_replaced(settings: pytest.MonkeyPatch, name: str) -> None:
    settings.setenv("FASTAPI_WORKER_CLASS", name)

    assert get_server_settings().gunicorn_options()["worker_class"] == name


@pytest.mark.parametrize(
    ("bind", "address", "port"),
    [
        ("127.0.0.1:9100", "127.0.0.1:9100", 9100),
        ("10.0.0.1", "10.0.0.1:9000", 9000),
        ("[::]", "[::]:9000", 9000),
    ],
)
def test_metrics_have_their_own_address(
    settings: pytest.MonkeyPatch, bind: str, address: str, port: int
) -> None:
    settings.setenv("FASTAPI_METRICS_BIND", bind)

    found = get_server_settings()

    assert found.gunicorn_options()["bind"] == ["127.0.0.1:8000", address]
    assert found.metrics_port == port


@pytest.mark.parametrize("bind", ["127.0.0.1:8000", "0.0.0.0:8000"])
def test_metrics_need_another_port(settings: pytest.MonkeyPatch, bind: str) -> None:
    settings.setenv("FASTAPI_METRICS_BIND", bind)

    with pytest.raises(SettingsError, match="FASTAPI_METRICS_BIND needs a port that"):
        get_server_settings()


def test_metrics_can_be_combined_with_a_unix_socket(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_BIND", "unix:http.sock")
    settings.setenv("FASTAPI_METRICS_BIND", "127.0.0.1:9000")

    assert get_server_settings().metrics_port == 9000


@pytest.mark.parametrize(("form", "warnings"), [("json", 1), ("text", 0)])
def test_unused_log_format_causes_a_warning(
    settings: pytest.MonkeyPatch, form: str, warnings: int
) -> None:
    settings.setenv("FASTAPI_LOG_FORMAT", form)
    assert get_server_settings().warnings() == []
    get_server_settings.cache_clear()
    settings.setenv("FASTAPI_GUNICORN_LOG_FORMAT", "%(message)s")

    assert len(get_server_settings().warnings()) == warnings


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
        ("BIND", "no where", "must be HOST:PORT, HOST or unix:PATH"),
        ("BIND", "8000", "must be HOST:PORT, HOST or unix:PATH"),
        ("BIND", "::", "must be HOST:PORT, HOST or unix:PATH"),
        ("BIND", "/run/http.sock", "must be HOST:PORT, HOST or unix:PATH"),
        ("BIND", ":65536", "must be HOST:PORT, HOST or unix:PATH"),
        ("BIND", "unix:/", "exists and is not a socket"),
        ("METRICS_BIND", "unix:/run/x", "must be HOST:PORT or HOST, with an IPv6"),
        ("METRICS_BIND", "127.0.0.1:0", "must have a port other than 0"),
        ("ROOT_PATH", "shop/", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "//shop", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "/100%", "must be empty, or begin with a slash"),
        ("ROOT_PATH", "/shop?a=b", "must be empty, or begin with a slash"),
        ("WORKER_CLASS", "nonsense", "must be a worker class that speaks ASGI"),
        ("WORKER_CLASS", "sync", "must be a worker class that speaks ASGI"),
        ("WORKER_CLASS", "os.path.join", "must be a worker class that speaks ASGI"),
        ("FORWARDED_ALLOW_IPS", "127.0.0.1,localhost", "'localhost' does not appear"),
        ("GUNICORN_LOG_FORMAT", "%(nope", "is not a valid log format"),
        ("GUNICORN_LOG_FORMAT", "%(nope)s", "is not a valid log format"),
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
