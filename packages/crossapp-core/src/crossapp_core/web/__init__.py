"""
The pages on which people link and unlink their accounts, for any web framework.
"""

from crossapp_core.web.pages import PATHS, LinkPages
from crossapp_core.web.requests import LONGEST_BODY, LinkRequest, LinkResponse

__all__ = ["LONGEST_BODY", "PATHS", "LinkPages", "LinkRequest", "LinkResponse"]
