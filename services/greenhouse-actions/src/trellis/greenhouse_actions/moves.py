"""Moving an application once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from trellis.common.contracts.commands import Action, MoveApplication
from trellis.common.contracts.identifiers import CommandId, JobId
from trellis.common.ledger.effects import (
    Blocked,
    Found,
    Intent,
    LookUp,
    Preparation,
    Ready,
)
from trellis.greenhouse_actions.adapters.harvest import (
    Connected,
    Harvests,
)
from trellis.greenhouse_actions.adapters.http import WRITE_SECONDS
from trellis.greenhouse_actions.adapters.stage_cache import StageStore
from trellis.greenhouse_actions.domain import effects as cases
from trellis.greenhouse_actions.domain.outcomes import ANSWER, SAID_YES
from trellis.greenhouse_actions.domain.readings import ApplicationView, JobStage, Readings
from trellis.greenhouse_actions.domain.requests import (
    FromSpace,
    Route,
    move_request,
)
from trellis.greenhouse_actions.domain.stages import choose_target, knows
from trellis.greenhouse_actions.effects import HarvestEffect, Outgoing
from trellis.greenhouse_actions.pauses import Pauses
from trellis.greenhouse_actions.reading import Reader, read_applications


class MoveEffect(HarvestEffect):
    """Moves an application once, into a stage fixed before the first attempt.

    Args:
        harvests: The Greenhouses.
        stages: Keeps the plans of jobs.
        pauses: Ended by readings that succeed.
        reader: Reads what a write rests on.
    """

    action = Action.MOVE

    def __init__(
        self,
        harvests: Harvests,
        stages: StageStore,
        pauses: Pauses,
        reader: Reader,
        *,
        request_seconds: float = WRITE_SECONDS,
    ) -> None:
        lists = (Route.APPLICATIONS, Route.APPLICATIONS)
        super().__init__(harvests, pauses, reader, Route.MOVE, lists, request_seconds)
        self._stages = stages

    async def _prepare(self, connected: Connected, intents: Sequence[Intent]) -> dict[CommandId, Preparation]:
        commands = {intent.id: _move(intent) for intent in intents}
        # The row of the present visit is told with the application; when it began is needed to know it again.
        with_visits = any(intent.retries > 0 or intent.command.visit.startswith("t") for intent in intents)
        readings = await self._read(connected, commands.values(), with_visits=with_visits)
        stopped = await self._stopped(connected, [view.candidate_id for view in readings.applications.values()])
        readings = replace(readings, read_at=min(readings.read_at, stopped.read_at))
        plans = _Plans(connected, self._stages)
        said: dict[CommandId, Preparation] = {}
        for intent in intents:
            checked = await self._checked(connected, intent, commands[intent.id], readings, plans)
            shown = readings.of(commands[intent.id].application_id)
            if isinstance(checked, Ready) and isinstance(shown, ApplicationView):
                checked = stopped.reasons.get(shown.candidate_id, checked)
            said[intent.id] = checked
        return said

    async def _checked(
        self, connected: Connected, intent: Intent, command: MoveApplication, readings: Readings, plans: _Plans
    ) -> Preparation:
        shown = readings.of(command.application_id)
        stood = cases.stands_still(shown, command.job_id)
        if not isinstance(stood, ApplicationView):
            return stood
        job = stood.job_id or command.job_id
        if job is None:
            return Blocked(reason="Greenhouse shows it on no job", remedy="put it on a job, or drop this move")
        target = choose_target(command, intent.resolved, await plans.of(job, intent, command))
        checked = cases.check_move(intent, command, shown, target)
        if not isinstance(checked, ApplicationView):
            return checked
        assert isinstance(target, JobStage)  # noqa: S101 - check_move returned the Blocked one
        space = cases.chosen_space(intent.resolved, connected.connection.spaces)
        request = move_request(command, checked, target.id, space)
        if request is None:
            return _NO_ROW
        return Ready(
            request=Outgoing(request, readings.read_at, connected.connection.revision),
            read_at=readings.read_at,
            resolved=cases.before_move(checked, target, space),
        )

    async def _look_up(self, connected: Connected, intent: Intent) -> LookUp:
        command, connection = _move(intent), connected.connection
        wanted = {command.application_id: command.job_id}
        capabilities = connected.harvest.capabilities
        await connected.harvest.allow(1)
        readings = await read_applications(connected.harvest, wanted, with_visits=False)
        said = cases.look_for_move(intent, readings.of(command.application_id), connection.spaces)
        if not isinstance(said, Found) and capabilities.stage_history:  # then it matters whether it left and came back
            await connected.harvest.allow(2)
            readings = await read_applications(connected.harvest, wanted, with_visits=True)
            said = cases.look_for_move(intent, readings.of(command.application_id), connection.spaces)
        if isinstance(said, Found) and intent.resolved.get(ANSWER) == SAID_YES:
            await self._harvests.remember_space(connection, FromSpace(str(intent.resolved[cases.SPACE])))
        return said


class _Plans:
    """The plans of jobs during one batch: from the cache, read anew at most once when an id is not known."""

    def __init__(self, connected: Connected, stages: StageStore) -> None:
        self._connected = connected
        self._stages = stages
        self._read: dict[JobId, Sequence[JobStage]] = {}

    async def of(self, job: JobId, intent: Intent, command: MoveApplication) -> Sequence[JobStage]:
        if job in self._read:
            return self._read[job]
        account = self._connected.connection.account
        kept = await self._stages.get(account, job)
        if kept is not None and knows(kept, command, intent.resolved):
            return kept
        self._read[job] = fresh = await self._connected.harvest.stages(job)
        await self._stages.put(account, job, fresh)
        return fresh


_NO_ROW: Final = Blocked(
    reason="Greenhouse shows no row of the present stage visit, which this connection's moves must name",
    remedy="move the application by hand, or set v3.from_stage_space to job_interview_stage",
)


def _move(intent: Intent) -> MoveApplication:
    if not isinstance(intent.command, MoveApplication):
        raise TypeError(type(intent.command).__name__)
    return intent.command
