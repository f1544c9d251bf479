"""The port to Harvest: the few questions and the two writes, whichever version answers them.

Source: greenhouse fact sheet, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, JobId, UserId
from trellis.common.errors import TransientError, TrellisError
from trellis.common.ledger.budget import Use
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.outcomes import Reply
from trellis.greenhouse_actions.domain.readings import (
    ApplicationView,
    CandidateView,
    ChangeField,
    JobStage,
    NoteView,
    StageRow,
    Window,
)
from trellis.greenhouse_actions.domain.requests import FromSpace, HarvestRequest

MOST_IDS = 50
"""Ids in one call of Harvest v3; an adapter splits longer lists."""


class CredentialRejectedError(TrellisError):
    """Greenhouse does not accept the credential, or not for this: nothing was done, the connection pauses.

    Args:
        said: Why, and what mends it.
    """

    def __init__(self, said: Unauthorized) -> None:
        super().__init__(said.reason)
        self.said = said


class TooLongError(TransientError):
    """A list has more pages than are read at once; a narrower question may be answered."""


class NotShownError(TransientError):
    """What must be there is not shown, so nothing is proved by what is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a version of Harvest can do beyond the other; where it cannot, what rests on it cannot tell.

    Attributes:
        stage_history: It tells when each stage was entered and left.
        transfer_guard: A transfer to another job can name the stage it leaves.
        note_on_application: A note bears its application's id.
        updated_filter: Lists can be narrowed to what changed since, by `updated_at`.
        ids_a_call: Applications that one call reads.
        together: Applications that one reading may ask for: so many that it is still fresh when it ends (P4).
    """

    stage_history: bool
    transfer_guard: bool
    note_on_application: bool
    updated_filter: bool
    ids_a_call: int
    together: int

    def calls(self, applications: int, *, with_visits: bool) -> int:
        """Return how many calls a reading of so many *applications* takes."""
        calls = -(-applications // self.ids_a_call)
        return 2 * calls if with_visits and self.stage_history else calls


V3: Final = Capabilities(
    stage_history=True,
    transfer_guard=True,
    note_on_application=True,
    updated_filter=True,
    ids_a_call=MOST_IDS,
    together=MOST_IDS,
)
V1: Final = Capabilities(
    stage_history=False,
    transfer_guard=False,
    note_on_application=False,
    updated_filter=False,
    ids_a_call=1,
    together=5,
)
"""Five calls are paid for within four seconds at the pace of 20 calls in 10 s, of which 0.6 are ours."""


class Harvest(Protocol):
    """One account's Greenhouse.

    Both versions of Harvest are behind it. Version 1 tells less, and `capabilities` says so: no stage visits, so
    that it cannot be seen whether an application left its stage and came back; no list by `updated_at`; no
    application in a note; and one call reads one application.

    Every reading is complete or raises: `TransientError` when Greenhouse cannot be read now (out of budget,
    away, an answer that is not what was asked for), `CredentialRejectedError` when it says no.
    """

    capabilities: Capabilities

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        """Return the applications that are shown; others are absent."""

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        """Return all applications whose *field* lies within *window*, in no order, their stage visits not read.

        None is absent that Greenhouse shows: a filter that did not work, or a list that ended early, raises, and so
        does a *field* by which this version has no filter (see `Capabilities.updated_filter`).
        """

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        """Return the row of each application's present stage visit, where there is one.

        Without `Capabilities.stage_history` none is known, and nothing follows from that.
        """

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        """Return the rows of all stage visits of each application that has any, the newest first.

        The present one is among them where there is one. Without `Capabilities.stage_history` none is known, and
        nothing follows from that.
        """

    async def candidates(self, ids: Sequence[CandidateId]) -> Mapping[CandidateId, CandidateView]:
        """Return the candidates that are shown; others are absent."""

    async def visible_jobs(self, ids: Sequence[JobId]) -> frozenset[JobId]:
        """Return which of the jobs are shown: a confidential one is not."""

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        """Return the stages of a job, deleted ones included, in no order."""

    async def sees_anything(self) -> bool:
        """Tell whether any list shows anything: a subject that lost Site Admin may see empty lists."""

    async def notes(
        self, application: ApplicationId, author: UserId | None, not_before: datetime, *, of_candidate: bool = False
    ) -> list[NoteView]:
        """Return all notes on *application* by *author* (None: anybody) made at or after *not_before*.

        Notes written through Harvest v1 name no application. With *of_candidate*, and without
        `Capabilities.note_on_application` in any case, those of its candidate that name none are among them. None
        are shown of an application that is not shown.

        Raises:
            TooLongError: There are more than are read, and no narrower question.
            NotShownError: The application is shown and the notes of its candidate are not.
        """

    async def allow(self, calls: int) -> None:
        """Take *calls* from the rate budget at once, for the readings (and the write) that belong together.

        Raises:
            TransientError: There are not so many now; it says when to come again.
        """

    async def reserve(self) -> timedelta | None:
        """Take one call from the rate budget for a write; a wait means that there is none now."""

    async def send(self, request: HarvestRequest, *, leave_before: float) -> Reply:
        """Make one write, once, and return what came back.

        Args:
            request: The write.
            leave_before: Monotonic time after which it must not leave any more (P4).

        Raises:
            CredentialRejectedError: No token could be had, or the credential or its version of Harvest was refused:
                nothing was done.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """An account's connection, and the way through it."""

    connection: Connection
    harvest: Harvest


class Harvests(Protocol):
    """The Greenhouses of all accounts."""

    async def of(self, account: AccountId, use: Use = Use.PEOPLE) -> Connected:
        """Return the way to *account*'s Greenhouse; *use* says whose share of its rate budget is spent.

        Raises:
            CredentialRejectedError: The account has no connection.
        """

    async def remember_space(self, connection: Connection, space: FromSpace) -> None:
        """Remember that a move of this connection worked with *space*."""
