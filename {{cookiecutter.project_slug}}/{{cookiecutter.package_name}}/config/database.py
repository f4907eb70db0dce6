"""Settings of the database."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)

from .application import DISTRIBUTION
from .database_url import DatabaseUrl, parse
from .variables import EnvironmentSettings


def _url(value: SecretStr) -> SecretStr:
    parse(value.get_secret_value())
    return value


Url = Annotated[SecretStr, AfterValidator(_url)]


class DatabaseSettings(EnvironmentSettings, title="Database"):
    """Where the database is, and its timeouts."""

    database_url: Url = Field(
        default=SecretStr(f"sqlite+aiosqlite:///{DISTRIBUTION}.db"),
        description=(
            "`postgresql://user:password@host:5432/name`, with parameters such as "
            "`sslmode`, or `sqlite:///file`; by default an SQLite file."
        ),
    )
    database_timeout: PositiveFloat = Field(
        default=5.0,
        description=(
            "Timeout in seconds for each of: connecting, waiting for a connection of "
            "the pool, a statement of the service."
        ),
    )
    database_pool_size: PositiveInt = Field(
        default=5, description="Connections that each worker keeps open."
    )
    database_max_overflow: NonNegativeInt = Field(
        default=2, description="Additional connections that a worker may open."
    )
    database_prepared_statements: bool = Field(
        default=True,
        description=(
            "Use prepared statements on PostgreSQL; turn them off behind a PgBouncer "
            "that pools transactions."
        ),
    )

    def database(self) -> DatabaseUrl:
        """Return the parsed URL."""
        return parse(self.database_url.get_secret_value())

    def warnings(self) -> list[str]:
        """Warn about SQLite, which is rarely wanted in production."""
        warnings = super().warnings()
        if self.database().file:
            warnings.append(
                "The database is an SQLite file; FASTAPI_DATABASE_URL sets another one."
            )
        return warnings
