import pytest

from {{ cookiecutter.package_name }}.config import SettingsError, get_settings
from {{ cookiecutter.package_name }}.config.application import DISTRIBUTION


def test_default_is_a_file_of_the_service(settings: pytest.MonkeyPatch) -> None:
    settings.delenv("FASTAPI_DATABASE_URL")

    default = get_settings().database()

    assert default.file == f"{DISTRIBUTION}.db"
    assert default.is_local


def test_warning_about_sqlite_names_the_variable() -> None:
    (warning,) = get_settings().warnings()

    assert "SQLite" in warning
    assert "FASTAPI_DATABASE_URL" in warning


def test_postgresql_causes_no_warning(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", "postgresql://localhost/cities")

    assert get_settings().warnings() == []


def test_url_is_not_shown(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", "postgresql://maria:sesame@db/cities")

    shown = f"{get_settings()!r} {get_settings().database()!r}"

    assert "sesame" not in shown
    assert "maria" not in shown


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "mysql://maria:sesame@db/cities",
            "must begin with `postgresql://` or `sqlite:///`",
        ),
        (
            "postgresql://maria:sesame@db:many/cities",
            "has a port that is not a number from 1 to 65535",
        ),
        (
            "postgresql://maria:sesame@db/cities?sslmode=perhaps",
            "`sslmode` must be one of "
            "allow, disable, prefer, require, verify-ca, verify-full",
        ),
    ],
)
def test_bad_url_is_refused_without_showing_it(
    settings: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", url)

    with pytest.raises(SettingsError) as caught:
        get_settings()

    assert str(caught.value) == f"FASTAPI_DATABASE_URL: {reason}."
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMEOUT", "0"),
        ("POOL_SIZE", "0"),
        ("MAX_OVERFLOW", "-1"),
        ("PREPARED_STATEMENTS", "perhaps"),
    ],
)
def test_bad_number_is_refused_by_name(
    settings: pytest.MonkeyPatch, name: str, value: str
) -> None:
    settings.setenv(f"FASTAPI_DATABASE_{name}", value)

    with pytest.raises(SettingsError, match=f"^FASTAPI_DATABASE_{name}='{value}': "):
        get_settings()
