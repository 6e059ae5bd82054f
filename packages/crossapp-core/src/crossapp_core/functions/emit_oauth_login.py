"""
`emit-oauth-login`: somebody has signed in here with an account of an OAuth provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import inngest

from crossapp_core.durable import Run
from crossapp_core.errors import HostEventError
from crossapp_core.host_ids import id_at
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import shared_sign_ins
from crossapp_core.operations.shared_sign_ins import SignIn
from crossapp_core.ports import SignInEvent

SIGNED_IN = SignInEvent("cross-app/signed-in")
"""What `Linking.signed_in` sends to the app's own Inngest."""


def emit_oauth_login(linking: LinkRuntime, sign_ins: Sequence[SignInEvent]) -> inngest.Function[list[str]]:
    """
    Tell the peers, so that those where the same account signs in link the two.

    Args:
        linking: The app.
        sign_ins: The app's own events of a sign-in.
    """
    known = {event.name: event for event in (*sign_ins, SIGNED_IN)}

    async def handle(run: Run) -> list[str]:
        sign_in = sign_in_of(known[run.event.name], run.event.data)
        outcome = await linking.transact(run, "look up", shared_sign_ins.tell, sign_in)
        return await linking.app.send(run, "send", outcome.messages)

    return linking.app.function(handle, fn_id="emit-oauth-login", events=list(known))


def sign_in_of(event: SignInEvent, data: Mapping[str, object]) -> SignIn:
    """
    The ids that an event of the app holds; tokens and all else stay unread.

    Raises:
        HostEventError: It doesn't say who signed in.
    """
    places = (event.user_id, event.provider, event.provider_account_id)
    user_id, provider, account_id = (_first(data, paths) for paths in places)
    if user_id is None:
        raise HostEventError(event.name, event.user_id)
    return SignIn(user_id, provider, account_id)


def _first(data: Mapping[str, object], paths: Sequence[str]) -> str | None:
    return next((id_ for path in paths if (id_ := id_at(data, path)) is not None), None)
