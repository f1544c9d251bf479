"""Tries a credential before an account's connection is switched to it, so that a wrong one never replaces one that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from trellis.common.errors import InputError, TransientError
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.adapters.connection_store import Wanted
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError
from trellis.greenhouse_actions.adapters.harvest_v1 import HarvestV1
from trellis.greenhouse_actions.adapters.tokens import Mint
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.outcomes import missing_permission
from trellis.greenhouse_actions.domain.requests import Permission

_CREDENTIAL: Final = ("api_version", "client_id", "client_secret", "api_key")
_STAYS: Final = "; the present connection stays in use"


class Trial(Protocol):
    """Says whether Greenhouse takes a credential."""

    async def refusal(self, connection: Connection) -> Unauthorized | None:
        """Return why Greenhouse does not accept *connection*'s credential; None when it does.

        Raises:
            TransientError: Greenhouse did not say.
        """


class HttpTrial:
    """Fetches a token, or reads a list through Harvest v1.

    Args:
        mint: The token route.
        v1: Makes the way through Harvest v1.
    """

    def __init__(self, mint: Mint, v1: Callable[[Connection], HarvestV1]) -> None:
        self._mint = mint
        self._v1 = v1

    async def refusal(self, connection: Connection) -> Unauthorized | None:
        """See `Trial.refusal`."""
        try:
            if connection.is_v1:
                await self._v1(connection).sees_anything()
            else:
                await self._mint.mint(connection, connection.acting_user)
        except CredentialRejectedError as error:
            is_known = error.said == missing_permission(Permission.LIST_JOBS)
            return None if is_known else error.said
        return None


async def try_before_switch(trial: Trial, before: Connection | None, wanted: Wanted) -> None:
    """Refuse *wanted* if Greenhouse does not accept its credential and another is in use.

    Raises:
        InputError: It is not accepted, or Greenhouse did not say.
    """
    if before is None or all(getattr(before, name) == getattr(wanted, name) for name in _CREDENTIAL):
        return
    tried = Connection(
        account=wanted.account,
        api_version=wanted.api_version,
        base_url=wanted.base_url,
        token_url=wanted.token_url,
        client_id=wanted.client_id,
        client_secret=wanted.client_secret,
        api_key=wanted.api_key,
        service_user_id=wanted.service_user_id,
        settings=wanted.settings,
    )
    try:
        refused = await trial.refusal(tried)
    except TransientError as error:
        expected = f"a credential that Greenhouse accepts, and it cannot be asked now ({error}){_STAYS}"
        raise InputError("credential", expected, "apply it again in a while") from None
    if refused is not None:
        expected = f"a credential that Greenhouse accepts: {refused.reason}{_STAYS}"
        raise InputError("credential", expected, refused.remedy)
