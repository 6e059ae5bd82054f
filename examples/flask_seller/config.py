"""
What the shop reads from its environment: the same as the other shop, but for a sync driver.
"""

from __future__ import annotations

from pydantic import Field

from examples.two_apps.seller import config


class Config(config.Config):
    """
    The shop's own settings; the bridge reads those of its peers itself.
    """

    database_url: str = Field(default="sqlite:///seller.db", validation_alias="DATABASE_URL", repr=False, min_length=1)
