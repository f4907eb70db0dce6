import pytest

from {{ cookiecutter.package_name }}.config import SettingsError, get_settings


def test_environment_overrides_the_default(settings: pytest.MonkeyPatch) -> None:
    assert get_settings().debug is False

    get_settings.cache_clear()
    settings.setenv("FASTAPI_DEBUG", "true")

    assert get_settings().debug is True


def test_body_may_have_a_mebibyte_by_default() -> None:
    assert get_settings().max_body_size == 2**20


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DEBUG", "perhaps", "Input should be a valid boolean"),
        ("DOCS_URL", "docs/", "must be empty, or begin with a slash"),
        ("DOCS_URL", "/openapi.json", "must not be the path of the schema"),
        ("DOCS_URL", "/openapi%2Ejson", "must not be the path of the schema"),
        ("MAX_BODY_SIZE", "-1", "Input should be greater than or equal to 0"),
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
    settings.setenv("FASTAPI_MAX_BODY_SIZE", "much")

    with pytest.raises(SettingsError) as error:
        get_settings()

    assert "FASTAPI_DEBUG='perhaps': " in str(error.value)
    assert "FASTAPI_MAX_BODY_SIZE='much': " in str(error.value)


def test_application_ignores_server_settings(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_BIND", "nowhere")

    assert not hasattr(get_settings(), "bind")


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        (
            " https://a.example ,http://[::1]:8080,app://b-1,",
            ("https://a.example", "http://[::1]:8080", "app://b-1"),
        ),
        (
            "http://[::80],http://a:443,https://a:80,https://a:65535",
            ("http://[::80]", "http://a:443", "https://a:80", "https://a:65535"),
        ),
    ],
)
def test_origins_are_a_list(
    settings: pytest.MonkeyPatch, value: str, origins: tuple[str, ...]
) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", value)

    assert get_settings().cors_origins == origins


@pytest.mark.parametrize(
    "value",
    [
        "a.example",
        "https://a.example/",
        "https://A.example",
        "https://*.example",
        "null",
        "https://a.example;https://b.example",
        "https://a.example:443",
        "http://[::1]:80",
        "https://a.example:0",
        "https://a.example:08443",
        "https://a.example:65536",
        "https://a.example:\u0661",
    ],
)
def test_invalid_origin_is_refused(settings: pytest.MonkeyPatch, value: str) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", value)

    with pytest.raises(SettingsError, match=r"FASTAPI_CORS_ORIGINS='.*': must be `"):
        get_settings()


def test_credentials_are_refused_for_all_origins(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", "*")
    settings.setenv("FASTAPI_CORS_CREDENTIALS", "true")

    with pytest.raises(SettingsError, match="FASTAPI_CORS_CREDENTIALS needs"):
        get_settings()
