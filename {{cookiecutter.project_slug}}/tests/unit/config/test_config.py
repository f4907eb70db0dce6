from typing import Any, Self

import pytest
from pydantic import Field, SecretStr, create_model, model_validator

from {{ cookiecutter.package_name }} import config
from {{ cookiecutter.package_name }}.config import (
    Settings,
    SettingsError,
    get_settings,
)


def test_environment_overrides_the_default(settings: pytest.MonkeyPatch) -> None:
    assert get_settings().workers == 2

    get_settings.cache_clear()
    settings.setenv("FASTAPI_WORKERS", "5")

    assert get_settings().workers == 5


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("WORKERS", "zero", "Input should be a valid integer"),
        ("WORKERS", "0", "Input should be greater than 0"),
        ("BIND", "nowhere", "must be HOST:PORT or unix:PATH"),
        ("BIND", ":65536", "must be HOST:PORT or unix:PATH"),
        ("ROOT_PATH", "empire/", "must be empty, or begin with a slash"),
        ("BIND", "unix:/", "exists, and is no socket"),
        ("PROJECT_NAME", "", "String should have at least 1 character"),
        ("WORKER_CLASS", "nonsense", "must be a worker class"),
        ("WORKER_CLASS", "sync", "must be a worker class"),
        ("WORKER_CLASS", "os.path.join", "must be a worker class"),
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
        get_settings()

    assert str(error.value).startswith(f"FASTAPI_{name}='{value}': {reason}")


@pytest.mark.parametrize(
    ("field", "environment", "sentence"),
    [
        (("plans", SecretStr, Field(min_length=9)), "tarkin", "FASTAPI_PLANS: Value"),
        (("plans", str, ...), None, "FASTAPI_PLANS: Field required."),
        (("plans", list[str], []), "a,b", 'error parsing value for field "plans"'),
    ],
)
def test_setting_of_ones_own_is_refused_without_showing_secrets(
    settings: pytest.MonkeyPatch,
    field: tuple[str, Any, Any],
    environment: str | None,
    sentence: str,
) -> None:
    fields: Any = {field[0]: field[1:]}
    grown = create_model("Settings", __base__=Settings, **fields)
    settings.setattr(config, "Settings", grown)
    if environment is not None:
        settings.setenv("FASTAPI_PLANS", environment)

    with pytest.raises(SettingsError) as error:
        get_settings()

    assert str(error.value).startswith(sentence)
    assert "tarkin" not in str(error.value)


def test_settings_may_be_refused_as_a_whole(settings: pytest.MonkeyPatch) -> None:
    class Grown(Settings):
        @model_validator(mode="after")
        def refuse(self) -> Self:
            raise ValueError("these do not go together")

    settings.setattr(config, "Settings", Grown)

    with pytest.raises(SettingsError, match=r"^these do not go together\.$"):
        get_settings()


def test_every_bad_value_is_named(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DEBUG", "perhaps")
    settings.setenv("FASTAPI_WORKERS", "0")

    with pytest.raises(SettingsError) as error:
        get_settings()

    assert "FASTAPI_DEBUG='perhaps': " in str(error.value)
    assert "FASTAPI_WORKERS='0': " in str(error.value)
