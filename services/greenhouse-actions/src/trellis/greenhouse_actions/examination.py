"""Looks at this service's part of set-ups: the Greenhouse connection and what workflows name in Greenhouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta

from trellis.common.contracts.findings import INSTALLATION, Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.breakers import Breakers
from trellis.common.runtime.clock import Clock
from trellis.common.setup import connections
from trellis.common.setup.connections import PauseSeen
from trellis.common.setup.part import Part
from trellis.common.setup.workflows import LiveWorkflows
from trellis.greenhouse_actions.adapters.checkup import Checkup
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.named_stages import NamedStages
from trellis.greenhouse_actions.connection import VENDOR, Connection
from trellis.greenhouse_actions.domain import diagnosis
from trellis.greenhouse_actions.domain.diagnosis import ProgressSeen, Seen
from trellis.greenhouse_actions.domain.naming import meant, named_jobs, named_stages
from trellis.greenhouse_actions.domain.standing import NotAllowed
from trellis.greenhouse_actions.reconciliations import Reconciliations
from trellis.greenhouse_actions.standings import Standings


class Examination:
    """See `Examiner`.

    Args:
        store: The connections.
        checkups: Makes the look at one connection.
        workflows: What is live.
        stages: Which stages bore which names before.
        reconciliations: How far each account is.
        standings: Whether it is refused to show how applications stand.
        brakes: The brakes that are on.
        breakers: Which connections are asked nothing now.
        part: The service's way to the broker.
        clock: Tells how long ago something was.
    """

    def __init__(
        self,
        *,
        store: ConnectionStore,
        checkups: Callable[[Connection], Checkup],
        workflows: LiveWorkflows,
        stages: NamedStages,
        reconciliations: Reconciliations,
        standings: Standings,
        brakes: Brakes,
        breakers: Breakers,
        part: Part,
        clock: Clock,
    ) -> None:
        self._store = store
        self._checkups = checkups
        self._workflows = workflows
        self._stages = stages
        self._reconciliations = reconciliations
        self._standings = standings
        self._brakes = brakes
        self._breakers = breakers
        self._part = part
        self._clock = clock

    async def accounts(self) -> Sequence[AccountId]:
        """See `Examiner.accounts`: those with a connection, and those whose workflows may need one."""
        known = {*await self._workflows.accounts(), *map(AccountId, await self._store.paused())}
        return [INSTALLATION, *sorted(known)]

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        """See `Examiner.examine`."""
        if account == INSTALLATION:
            return await self._part.findings()
        documents = await self._workflows.of(account)
        connection = await self._store.get(account)
        if connection is None:
            return connections.missing(VENDOR, [document.name for document in documents])
        return diagnosis.of_connection(await self._seen(connection, documents))

    async def _seen(self, connection: Connection, documents: Sequence[WorkflowDocument]) -> Seen:
        account, named, jobs = connection.account, named_stages(documents), named_jobs(documents)
        pause = await self._store.pause_of(account)
        seen = Seen(
            account=account,
            now=self._clock.now(),
            acting=connection.acting_user,
            share=connection.settings.rate_share,
            opens=bool(connection.client_id or connection.api_key),
            named=named,
            jobs=jobs,
            remembered=await self._stages.of(account),
            pause=None if pause is None else PauseSeen(reason=pause.reason, remedy=pause.remedy),
            progress=await self._progress(connection),
            brakes=await self._brakes.on(account),
            not_shown=await self._not_shown(connection),
            held_until=self._breakers.held_until(account),
        )
        if not seen.opens or connection.api_version != "v3":
            return seen  # a v1 key tells its permissions only by refusing: pauses say what it lacks
        told = await self._checkups(connection).look(jobs, stages=bool(named or jobs))
        if told.stages is not None:
            await self._stages.remember(account, meant(named, told.stages))
        return replace(seen, **{field.name: getattr(told, field.name) for field in fields(told)})

    async def _not_shown(self, connection: Connection) -> NotAllowed | None:
        """Return why applications are not shown as they stand, where the account says that they are to be."""
        if connection.settings.standing_show != "field":
            return None
        return await self._standings.refusal(connection.account, connection.revision)

    async def _progress(self, connection: Connection) -> ProgressSeen | None:
        found = await self._reconciliations.progress(connection.account)
        changed_at = await self._store.changed_at(connection.account)
        if changed_at is None:
            return None
        return ProgressSeen(
            completed_at=found[0].completed_at if found else None,
            since=changed_at,
            interval=timedelta(seconds=connection.settings.reconcile_interval),
            cause=found[0].cause if found else "",
        )
