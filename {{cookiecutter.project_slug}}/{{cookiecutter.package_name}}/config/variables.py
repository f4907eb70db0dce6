"""Reads settings from environment variables, and describes them."""

from collections.abc import Iterable
from difflib import get_close_matches
from inspect import get_annotations, isclass
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_origin

from pydantic import (
    AliasChoices,
    BaseModel,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableSettings

ENV_PREFIX = "FASTAPI_"
# FastAPI itself reads these.
NOT_OURS = {"FASTAPI_ENV", "FASTAPI_OTEL_AUTO_CONFIGURE", "FASTAPI_PUBLIC_URL"}

#: Marks a field for which an empty variable is a value, as in ``FASTAPI_DOCS_URL``.
#: For others it counts as unset, as compose and CI may pass empty variables.
KEEP_EMPTY = object()


class SettingsError(Exception):
    """One or more variables have invalid values."""


class EnvironmentSettings(BaseSettings):
    """The base of all classes whose fields are settings.

    A setting is one field: a name, a type, a default and a description in Markdown.
    The ``title`` of the class is the heading above its settings.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ignore empty variables, except where empty is a value."""
        environment = cast(EnvSettingsSource, env_settings)
        kept = {
            variable
            for name, field in settings_cls.model_fields.items()
            for variable in _variables(name, field)
            if KEEP_EMPTY in field.metadata
        }
        environment.env_vars = {
            variable: value
            for variable, value in environment.env_vars.items()
            if value or variable.upper() in kept
        }
        return init_settings, environment, dotenv_settings, file_secret_settings

    def warnings(self) -> list[str]:
        """Return warnings about valid values, which ``serve`` logs."""
        return []


class Setting(NamedTuple):
    """A setting as described to users; the default and the meaning are Markdown."""

    variable: str
    default: str
    meaning: str


AnySettings = TypeVar("AnySettings", bound=EnvironmentSettings)


def read(settings: type[AnySettings]) -> AnySettings:
    """Read the environment.

    Raises:
        SettingsError: naming each variable with an invalid value, and why.
    """
    try:
        return settings()
    except ValidationError as error:
        reasons = "; ".join(_explain(settings, each) for each in error.errors())
        # Not chained, as pydantic's own message shows secrets.
        raise SettingsError(f"{reasons}.") from None
    except UnreadableSettings as error:
        raise SettingsError(f"{error}.") from None


def describe(*classes: type[EnvironmentSettings]) -> dict[str, list[Setting]]:
    """Return the settings of these classes, grouped by title."""
    found: dict[str, dict[str, Setting]] = {}
    for settings in classes:
        for name, field in settings.model_fields.items():
            owner = next(c for c in settings.__mro__ if name in get_annotations(c))
            title = getattr(owner, "model_config", {}).get("title") or owner.__name__
            found.setdefault(title, {})[name] = _describe(name, field)
    return {title: [*settings.values()] for title, settings in sorted(found.items())}


def unknown_variables(
    variables: Iterable[str], *classes: type[EnvironmentSettings]
) -> list[str]:
    """Return a warning for each variable with our prefix that no class declares."""
    known = {
        variable
        for settings in classes
        for name, field in settings.model_fields.items()
        for variable in _variables(name, field)
    }
    short_names = [name.removeprefix(ENV_PREFIX) for name in known]
    warnings = []
    for variable in sorted(variables):
        name = variable.upper()
        if name.startswith(ENV_PREFIX) and name not in known | NOT_OURS:
            nearest = get_close_matches(name.removeprefix(ENV_PREFIX), short_names, n=1)
            hints = [f" Did you mean {ENV_PREFIX}{short}?" for short in nearest]
            warnings.append(f"{variable} is not a setting.{''.join(hints)}")
    return warnings


def is_secret(annotation: Any) -> bool:
    """Return whether values of this type are secret, or may contain secrets."""
    annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    kind = get_origin(annotation) or annotation
    if isclass(kind) and issubclass(kind, Secret | SecretStr | SecretBytes | BaseModel):
        return True
    return any(map(is_secret, get_args(annotation)))


def _variables(name: str, field: FieldInfo) -> list[str]:
    """Return the variables that set a field; the first is the documented one."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names = [choice.upper() for choice in choices if isinstance(choice, str)]
    return names or [f"{ENV_PREFIX}{name.upper()}"]


def _describe(name: str, field: FieldInfo) -> Setting:
    variable, *_ = _variables(name, field)
    return Setting(variable, _default(field), field.description or "")


def _default(field: FieldInfo) -> str:
    """Return the default as it would be written in a variable."""
    if field.is_required():
        return "required"
    if field.default_factory:
        return "computed"
    value = field.default
    if isinstance(value, tuple | list | set | frozenset):
        value = ",".join(map(str, value))
    if value in (None, "") or (is_secret(field.annotation) and not value):
        return "empty"
    if is_secret(field.annotation):
        return "secret"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _explain(settings: type[EnvironmentSettings], problem: ErrorDetails) -> str:
    """Return the variable, its value unless that may be secret, and the reason.

    A value with an ``@`` may be a URL with a password, meant for another variable.
    """
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    place = str(problem["loc"][0]).upper()
    fields = {
        key: (_variables(name, field)[0], field.annotation)
        for name, field in settings.model_fields.items()
        for key in (name.upper(), *_variables(name, field))
    }
    variable, annotation = fields.get(place, (place, SecretStr))
    value = repr(problem["input"])
    if problem["type"] == "missing" or is_secret(annotation) or "@" in value:
        return f"{variable}: {reason}"
    return f"{variable}={value}: {reason}"
