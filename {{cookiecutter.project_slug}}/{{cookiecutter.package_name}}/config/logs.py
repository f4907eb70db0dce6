"""Settings of the log."""

from pydantic import Field

from ..logs import Form
from .variables import EnvironmentSettings


class LogSettings(EnvironmentSettings, title="Log"):
    """What the log looks like."""

    log_format: Form = Field(
        default="text",
        description="Form of the log: `text`, or `json` with one object per line.",
    )
    access_log: bool = Field(
        default=False, description="Log a line for every request except the probes."
    )
