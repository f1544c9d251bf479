"""Looks at this service's part of set-ups: the Coderbyte connection and the assessments that workflows name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from trellis.assessments.adapters.coderbyte import CredentialError, Organization
from trellis.assessments.adapters.connection_store import ConnectionStore
from trellis.assessments.domain import diagnosis
from trellis.assessments.domain.diagnosis import Seen, named_assessments, needing
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.common.contracts.findings import INSTALLATION, Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import TransientError
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.budget import Use
from trellis.common.runtime.clock import Clock
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.setup import connections
from trellis.common.setup.connections import PauseSeen
from trellis.common.setup.part import Part
from trellis.common.setup.workflows import LiveWorkflows

LOOK_SECONDS: Final = 20.0
"""How long the look waits for the background's rate budget."""


class Examination:
    """See `Examiner`.

    Args:
        store: The connections.
        gateway: The way to Coderbyte; only the background's part of its rate budget is spent.
        workflows: What is live.
        brakes: The brakes that are on.
        part: The service's way to the broker.
        clock: Tells how long ago something was.
    """

    def __init__(
        self,
        *,
        store: ConnectionStore,
        gateway: Gateway,
        workflows: LiveWorkflows,
        brakes: Brakes,
        part: Part,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._workflows = workflows
        self._brakes = brakes
        self._part = part
        self._clock = clock

    async def accounts(self) -> Sequence[AccountId]:
        """See `Examiner.accounts`: those with a connection, and those whose workflows may need one."""
        return [INSTALLATION, *sorted({*await self._workflows.accounts(), *await self._store.accounts()})]

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        """See `Examiner.examine`."""
        if account == INSTALLATION:
            return await self._part.findings()
        documents = await self._workflows.of(account)
        pause = await self._store.pause(account)
        seen = Seen(
            account=account,
            now=self._clock.now(),
            named=named_assessments(documents),
            pause=None if pause is None else PauseSeen(reason=pause["reason"], remedy=pause["remedy"]),
            brakes=await self._brakes.on(account),
        )
        try:
            organization = await self._store.load(account)
        except UnreadableError:
            return diagnosis.of_connection(replace(seen, opens=False))
        if organization is None:
            return connections.missing(VENDOR, needing(documents))
        return diagnosis.of_connection(await self._asked(seen, organization))

    async def _asked(self, seen: Seen, organization: Organization) -> Seen:
        held_until = self._gateway.held_until(organization)
        if held_until is not None:
            return replace(seen, held_until=held_until)
        until = time.monotonic() + LOOK_SECONDS
        wait = await self._gateway.spend(organization, until=until, use=Use.BACKGROUND)
        if wait is not None:
            raise TransientError("there is no rate budget to look at Coderbyte now", retry_after=wait)
        try:
            return replace(seen, assessments=await self._gateway.look(organization))
        except CredentialError:
            return replace(seen, rejected=True)
        except TransientError as error:
            return replace(seen, away=str(error))
