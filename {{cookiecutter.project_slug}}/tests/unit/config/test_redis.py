from pathlib import Path

import pytest

from {{ cookiecutter.package_name }}.config import SettingsError, get_settings


def test_sentinel_is_at_the_redis_address_by_default(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", "sentinel")
    settings.setenv("FASTAPI_REDIS_PORT", "26379")

    assert get_settings().sentinel_addresses() == [("sentinel", 26379)]


def test_sentinels_are_a_list(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_SENTINELS", "one:26379, [::1]:26380,")

    assert get_settings().sentinel_addresses() == [("one", 26379), ("::1", 26380)]


@pytest.mark.parametrize(
    "value",
    [
        "one",
        "one:",
        ":26379",
        "one:port",
        "one:0",
        "one:99999",
        "::1:26379",
        "[one]:26379",
        "redis://one:26379",
        "user@one:26379",
        "one/0:26379",
        "the one:26379",
    ],
)
def test_bad_sentinel_is_refused(settings: pytest.MonkeyPatch, value: str) -> None:
    settings.setenv("FASTAPI_REDIS_SENTINELS", value)

    with pytest.raises(SettingsError, match=r"^FASTAPI_REDIS_SENTINELS"):
        get_settings()


@pytest.mark.parametrize(
    "value",
    ["redis", "redis_1.example.com.", "bücher.example", "10.0.0.1", "::1"],
)
def test_host_is_a_name_or_an_address(settings: pytest.MonkeyPatch, value: str) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", value)

    assert get_settings().redis_host == value


def test_empty_host_is_the_default(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", "")

    assert get_settings().redis_host == "127.0.0.1"


@pytest.mark.parametrize(
    "value",
    [
        " redis",
        "my redis",
        "redis://redis",
        "rediss://user:password@redis:6380/0",
        "redis:6379",
        "user@redis",
        "[::1]",
        "10.0.0.999",
        "redis..example",
        "-redis",
        "/run/redis.sock",
        "unix:/run/redis.sock",
        "redis,other",
    ],
)
def test_invalid_host_is_refused(settings: pytest.MonkeyPatch, value: str) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", value)

    with pytest.raises(SettingsError) as caught:
        get_settings()

    shown = "" if "@" in value else f"={value!r}"
    assert str(caught.value) == (
        f"FASTAPI_REDIS_HOST{shown}: must be only a host name or an IP address, "
        "without scheme, port, path or brackets."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "holds no certificate in PEM form"),
        ("-----BEGIN CERTIFICATE-----", "holds no certificate in PEM form"),
    ],
)
def test_unusable_ca_file_is_refused(
    settings: pytest.MonkeyPatch, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings.setenv("FASTAPI_REDIS_TLS", "true")
    settings.setenv("FASTAPI_REDIS_CA_FILE", str(file))

    with pytest.raises(SettingsError) as caught:
        get_settings()

    assert str(caught.value) == f"FASTAPI_REDIS_CA_FILE='{file}': {reason}."


def test_ca_file_needs_tls(settings: pytest.MonkeyPatch, ca_file: Path) -> None:
    settings.setenv("FASTAPI_REDIS_CA_FILE", str(ca_file))

    with pytest.raises(SettingsError, match="needs FASTAPI_REDIS_TLS=true"):
        get_settings()

    settings.setenv("FASTAPI_REDIS_TLS", "true")
    assert get_settings().redis_ca_file == str(ca_file)


@pytest.mark.parametrize("name", ["REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"])
def test_password_is_not_shown(settings: pytest.MonkeyPatch, name: str) -> None:
    settings.setenv(f"FASTAPI_{name}", "sesame")

    assert "sesame" not in repr(get_settings())
