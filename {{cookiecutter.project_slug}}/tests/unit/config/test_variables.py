from typing import Annotated, Any, Self

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    Secret,
    SecretBytes,
    SecretStr,
    model_validator,
)

from {{ cookiecutter.package_name }}.config import Settings
from {{ cookiecutter.package_name }}.config.variables import (
    EnvironmentSettings,
    Setting,
    SettingsError,
    _variables,
    describe,
    is_secret,
    read,
    unknown_variables,
)
from {{ cookiecutter.package_name }}.server.settings import SETTINGS


class Login(BaseModel):
    password: str = "sesame"


class Custom(Settings, title="Custom"):
    """Custom settings."""

    cities: list[str] = Field(default=["Oslo", "Lima"], description="Where to go.")
    streets: tuple[str, ...] = ()
    plans: SecretStr = Field(
        default=SecretStr("sesame"), min_length=6, description="Hide."
    )
    code: SecretStr = SecretStr("")
    login: Login | None = None
    dsn: SecretBytes = Field(
        default=SecretBytes(b"sesame"), validation_alias="PAYMENTS_DSN"
    )
    retries: int = Field(
        default=3, validation_alias=AliasChoices("RETRIES", "FASTAPI_TRIES")
    )
    shields: bool = True
    captain: str = ""
    started: float = Field(default_factory=float)


class Required(EnvironmentSettings):
    """Settings without a default or a title."""

    token: str


def test_settings_are_described_by_title() -> None:
    described = describe(Custom, Required)

    assert described["Application"][0] == Setting(
        "FASTAPI_DEBUG",
        "`false`",
        "Answer unexpected errors with a traceback. Never in production.",
    )
    assert described["Custom"] == [
        Setting("FASTAPI_CITIES", "`Oslo,Lima`", "Where to go."),
        Setting("FASTAPI_STREETS", "empty", ""),
        Setting("FASTAPI_PLANS", "secret", "Hide."),
        Setting("FASTAPI_CODE", "empty", ""),
        Setting("FASTAPI_LOGIN", "empty", ""),
        Setting("PAYMENTS_DSN", "secret", ""),
        Setting("RETRIES", "`3`", ""),
        Setting("FASTAPI_SHIELDS", "`true`", ""),
        Setting("FASTAPI_CAPTAIN", "empty", ""),
        Setting("FASTAPI_STARTED", "computed", ""),
    ]
    assert described["Required"] == [Setting("FASTAPI_TOKEN", "required", "")]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("FASTAPI_PLANS", "sesa", "FASTAPI_PLANS: Value should have"),
        ("FASTAPI_LOGIN", '{"password": ["sesa"]}', "FASTAPI_LOGIN: Input should be"),
        ("FASTAPI_CITIES", "sesa", 'error parsing value for field "cities"'),
        ("RETRIES", "many", "RETRIES='many': Input should be a valid integer"),
        ("FASTAPI_TRIES", "many", "RETRIES='many': Input should be a valid integer"),
        ("FASTAPI_TRIES", "a://:sesa@b", "RETRIES: Input should be a valid integer"),
    ],
)
def test_value_is_refused_without_showing_secrets(
    settings: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    settings.setenv(variable, value)

    with pytest.raises(SettingsError) as error:
        read(Custom)

    assert str(error.value).startswith(sentence)
    assert "sesa" not in str(error.value)


def test_missing_value_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^FASTAPI_TOKEN: Field required\.$"):
        read(Required)


def test_settings_can_be_refused_as_a_whole() -> None:
    class Contradictory(EnvironmentSettings):
        @model_validator(mode="after")
        def refuse(self) -> Self:
            raise ValueError("these do not go together")

    with pytest.raises(SettingsError, match=r"^these do not go together\.$"):
        read(Contradictory)


# Settings for which an empty variable does not mean the default.
EMPTY = {"docs_url": ""}


@pytest.mark.parametrize(
    ("settings_class", "name"),
    [(each, name) for each in (*SETTINGS, Custom) for name in each.model_fields],
)
def test_empty_variable_counts_as_unset(
    settings: pytest.MonkeyPatch, settings_class: type[EnvironmentSettings], name: str
) -> None:
    variables = _variables(name, settings_class.model_fields[name])
    for variable in variables:
        settings.delenv(variable, raising=False)
    default = getattr(read(settings_class), name)

    for variable in variables:
        settings.setenv(variable, "")

    assert getattr(read(settings_class), name) == EMPTY.get(name, default)


def test_empty_variable_yields_to_an_alias(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("RETRIES", "")
    settings.setenv("FASTAPI_TRIES", "5")

    assert read(Custom).retries == 5


def test_empty_variable_does_not_satisfy_a_required_setting(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_TOKEN", "")

    with pytest.raises(SettingsError, match=r"^FASTAPI_TOKEN: Field required\.$"):
        read(Required)


@pytest.mark.parametrize(
    ("annotation", "secret"),
    [
        (SecretStr, True),
        (SecretBytes | None, True),
        (Secret[int], True),
        (Annotated[SecretStr, Field(min_length=1)], True),
        (dict[str, list[SecretStr]], True),
        (Login, True),
        (str, False),
        (list[int] | None, False),
    ],
)
def test_secrets_are_recognized_by_type(annotation: Any, secret: bool) -> None:
    assert is_secret(annotation) is secret


@pytest.mark.parametrize(
    ("variable", "warnings"),
    [
        ("FASTAPI_DEBUG", []),
        ("fastapi_debug", []),
        ("FASTAPI_ENV", []),
        ("HOME", []),
        ("FASTAPI_TRIES", []),
        (
            "FASTAPI_DEBGU",
            ["FASTAPI_DEBGU is not a setting. Did you mean FASTAPI_DEBUG?"],
        ),
        ("FASTAPI_XYZZY", ["FASTAPI_XYZZY is not a setting."]),
    ],
)
def test_unknown_variable_causes_a_warning(variable: str, warnings: list[str]) -> None:
    assert unknown_variables([variable], Custom) == warnings
