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
    """Where the database is, and how long it may take."""

    database_url: Url = Field(
        default=SecretStr(f"sqlite+aiosqlite:///{DISTRIBUTION}.db"),
        description=(
            "`postgresql://user:password@host:5432/name`, with parameters such as "
            "`sslmode`, or `sqlite:///file`; by default a file of the service."
        ),
    )
    database_timeout: PositiveFloat = Field(
        default=5.0,
        description=(
            "Seconds that each of these may take: to connect, to wait for a connection "
            "of the pool, a statement of the service."
        ),
    )
    database_pool_size: PositiveInt = Field(
        default=5, description="Connections that each worker keeps."
    )
    database_max_overflow: NonNegativeInt = Field(
        default=2, description="Connections beyond these that a worker may open."
    )
    database_prepared_statements: bool = Field(
        default=True,
        description=(
            "Let PostgreSQL keep prepared statements; turn it off behind a PgBouncer "
            "that pools transactions."
        ),
    )

    def database(self) -> DatabaseUrl:
        """Return where the database is."""
        return parse(self.database_url.get_secret_value())

    def warnings(self) -> list[str]:
        """Warn of SQLite, which a service in production rarely wants."""
        warnings = super().warnings()
        if self.database().file:
            warnings.append(
                "The database is a file of SQLite; FASTAPI_DATABASE_URL names another."
            )
        return warnings
