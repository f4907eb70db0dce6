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
    "value", ["one", "one:", ":26379", "one:port", "one:0", "one:99999", "::1:26379"]
)
def test_bad_sentinel_is_refused(settings: pytest.MonkeyPatch, value: str) -> None:
    settings.setenv("FASTAPI_REDIS_SENTINELS", value)

    with pytest.raises(SettingsError, match="FASTAPI_REDIS_SENTINELS='"):
        get_settings()


def test_password_is_not_shown(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_PASSWORD", "tarkin")

    assert "tarkin" not in repr(get_settings())
