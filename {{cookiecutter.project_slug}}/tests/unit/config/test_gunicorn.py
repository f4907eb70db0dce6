import pytest

from {{ cookiecutter.package_name }}.config import get_settings


@pytest.mark.parametrize(
    "bind",
    [":8000", "0.0.0.0:80", "localhost:8000", "[::1]:8000", "unix:/run/http.sock"],
)
def test_bind_takes_every_kind_of_address(
    settings: pytest.MonkeyPatch, bind: str
) -> None:
    settings.setenv("FASTAPI_BIND", bind)

    assert get_settings().gunicorn_options()["bind"] == bind


@pytest.mark.parametrize("peers", ["*", "10.0.0.0/8, ::1"])
def test_proxies_are_addresses_or_all(settings: pytest.MonkeyPatch, peers: str) -> None:
    settings.setenv("FASTAPI_FORWARDED_ALLOW_IPS", peers)

    assert get_settings().gunicorn_options()["forwarded_allow_ips"] == peers


@pytest.mark.parametrize("name", ["uvicorn_worker.UvicornH11Worker", "asgi"])
def test_worker_class_may_be_another(settings: pytest.MonkeyPatch, name: str) -> None:
    settings.setenv("FASTAPI_WORKER_CLASS", name)

    assert get_settings().gunicorn_options()["worker_class"] == name


@pytest.mark.parametrize(("switch", "log"), [("true", "-"), ("false", None)])
def test_access_log_is_a_switch(
    settings: pytest.MonkeyPatch, switch: str, log: str | None
) -> None:
    settings.setenv("FASTAPI_ACCESS_LOG", switch)

    assert get_settings().gunicorn_options()["accesslog"] == log


def test_application_logs_like_gunicorn(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_GUNICORN_LOG_LEVEL", "debug")

    logging = get_settings().gunicorn_options()["logconfig_dict"]
    root, gunicorn = logging["root"], logging["loggers"]["gunicorn.error"]

    assert root["level"] == gunicorn["level"] == "DEBUG"
    assert root["handlers"] == gunicorn["handlers"]
