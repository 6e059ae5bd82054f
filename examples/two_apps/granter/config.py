"""
What the school reads from its environment.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

APP_ID = "ai-hero"


class Config(BaseModel):
    """
    The school's own settings; the bridge reads those of its peers itself.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: str = Field(
        default="sqlite+aiosqlite:///granter.db", validation_alias="DATABASE_URL", repr=False, min_length=1
    )
    sample_data: bool = Field(default=False, validation_alias="SAMPLE_DATA")
    serve_origin: str = Field(validation_alias="INNGEST_SERVE_ORIGIN", pattern=r"^https?://[^/]+$")
    """Where Inngest reaches this app. It can't be read from a request: whoever sends one writes its Host."""
    inngest_dev: str = Field(default="", validation_alias="INNGEST_DEV")
    inngest_base_url: str = Field(default="", validation_alias="INNGEST_BASE_URL")
    inngest_event_key: SecretStr = Field(default=SecretStr(""), validation_alias="INNGEST_EVENT_KEY")
    inngest_signing_key: SecretStr = Field(default=SecretStr(""), validation_alias="INNGEST_SIGNING_KEY")

    @property
    def dev(self) -> bool:
        """
        Whether Inngest is a dev server, which signs nothing.
        """
        return self.inngest_dev.strip().lower() not in ("", "0", "false")

    @property
    def inngest_url(self) -> str | None:
        """
        Origin of Inngest, if it isn't the usual one; `INNGEST_DEV` may hold it, too.
        """
        return self.inngest_base_url or (self.inngest_dev if "://" in self.inngest_dev else None)
