import pytest

from {{ cookiecutter.package_name }}.config import SettingsError, get_settings


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
        ("WORKER_CLASS", "nonsense", "must be a worker class"),
        ("FORWARDED_ALLOW_IPS", "127.0.0.1,localhost", "'localhost' does not appear"),
        ("GUNICORN_LOG_FORMAT", "%(nope", "Invalid format"),
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


def test_every_bad_value_is_named(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DEBUG", "perhaps")
    settings.setenv("FASTAPI_WORKERS", "0")

    with pytest.raises(SettingsError) as error:
        get_settings()

    assert "FASTAPI_DEBUG='perhaps': " in str(error.value)
    assert "FASTAPI_WORKERS='0': " in str(error.value)
