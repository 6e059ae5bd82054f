"""
`check-oauth-autolink`: somebody has signed in to the peer with an account of an OAuth provider.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.events import UserOAuthLogin
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import shared_sign_ins


def check_oauth_autolink(linking: LinkRuntime) -> inngest.Function[list[str]]:
    """
    Link the two, if the same account signs in here.
    """

    async def handle(run: Run) -> list[str]:
        login = linking.app.read(UserOAuthLogin, run.event)
        outcome = await linking.transact(run, "link", shared_sign_ins.link, login)
        return await linking.app.send(run, "tell", outcome.messages)

    return linking.app.function(handle, fn_id="check-oauth-autolink", events=[UserOAuthLogin.name])
