"""Settings for browsers."""

from typing import Self

from pydantic import Field, model_validator

from .types import Origins
from .variables import EnvironmentSettings


class BrowserSettings(EnvironmentSettings, title="Browsers"):
    """What web pages may do with the service."""

    cors_origins: Origins = Field(
        default=(),
        description=(
            "Other origins whose pages may use the service, `https://a.example,...`; "
            "`*` means all."
        ),
    )
    cors_credentials: bool = Field(
        default=False,
        description="Let browsers send cookies and passwords from these origins.",
    )
    security_headers: bool = Field(
        default=True,
        description=(
            "Send `X-Content-Type-Options`, `Referrer-Policy` and `X-Frame-Options` "
            "with each response."
        ),
    )

    @model_validator(mode="after")
    def _credentials_are_for_some(self) -> Self:
        if self.cors_credentials and "*" in self.cors_origins:
            raise ValueError(
                "FASTAPI_CORS_CREDENTIALS needs FASTAPI_CORS_ORIGINS to name the "
                "origins; with `*` any site could act on behalf of its visitors"
            )
        return self
