"""Shows in Greenhouse how applications stand: the latest of each, after a while, below all other work.

Writing it twice does no harm, so no row of the ledger stands for it: what is wanted is compared with what is shown.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, assert_never

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.commands import AddNote
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, stable_id
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.ledger.budget import Use
from trellis.common.ledger.runner import Runner
from trellis.common.runtime.clock import Clock
from trellis.common.store.tenancy import serving
from trellis.greenhouse_actions.adapters.harvest import Connected, CredentialRejectedError, Harvests
from trellis.greenhouse_actions.domain import standing
from trellis.greenhouse_actions.effects import DEFAULT_RETRY, READING_SECONDS
from trellis.greenhouse_actions.polling import drive
from trellis.greenhouse_actions.standings import Standings, Wanted

log = structlog.get_logger()

SOURCE: Final = "trellis/greenhouse-actions"
LEASE: Final = timedelta(seconds=90)
MOST: Final = 10
"""Applications of one account in one go."""


class Display:
    """Shows what is wanted; any number may run beside each other.

    Args:
        standings: What is wanted and what is shown.
        harvests: The Greenhouses.
        runner: Woken for notes.
        clock: Dates the commands for notes.
    """

    def __init__(self, standings: Standings, harvests: Harvests, runner: Runner, clock: Clock) -> None:
        self._standings = standings
        self._harvests = harvests
        self._runner = runner
        self._clock = clock
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for what is due now."""
        self._wake.set()

    async def run(self) -> None:
        """Show until cancelled."""
        await drive("display", self.show_due, self._wake)

    async def show_due(self) -> int:
        """Show what is due, some of each account; return how many were taken up."""
        claimed = await self._standings.claim(per_account=MOST, lease=LEASE)
        accounts: dict[AccountId, list[Wanted]] = {}
        for wanted in claimed:
            accounts.setdefault(wanted.account, []).append(wanted)
        async with asyncio.TaskGroup() as group:
            for account, of_it in accounts.items():
                group.create_task(self._serve(account, of_it))
        return len(claimed)

    async def _serve(self, account: AccountId, wanted: Sequence[Wanted]) -> None:
        with serving(account):
            try:
                connected = await self._harvests.of(account, Use.BACKGROUND)
                await self._show(connected, wanted)
            except CredentialRejectedError as error:
                await self._standings.postpone(wanted, error.said.reason, DEFAULT_RETRY)

    async def _show(self, connected: Connected, wanted: Sequence[Wanted]) -> None:
        connection = connected.connection
        for number, item in enumerate(wanted):
            match connection.settings.standing_show:
                case "off":
                    await self._standings.settle(item, "", None)
                case "note":
                    await self._note(item)
                case _:
                    said = await self._write(connected, item)
                    if not await self._record(connected, wanted[number:], said):
                        return

    async def _note(self, item: Wanted) -> None:
        note = standing.note_of(item.command, item.shown)
        envelope = None if note is None else self._envelope(item, note)
        await self._standings.settle(item, standing.shown_in_notes(item.command), envelope)
        self._runner.wake()

    async def _write(self, connected: Connected, item: Wanted) -> standing.Said:
        """Have the custom field say what is wanted, unless it surely does."""
        command, settings = item.command, connected.connection.settings
        text = standing.text_of(command.standing, command.detail)
        if text == item.shown and not item.is_unsure:
            return standing.Done()
        request = standing.standing_request(
            command.application_id, settings.standing_field, settings.standing_field_shape, text
        )
        try:
            if (wait := await connected.harvest.reserve()) is not None:
                return standing.TryLater(reason="the rate budget is used up for now", wait=wait)
            reply = await connected.harvest.send(request, leave_before=time.monotonic() + READING_SECONDS)
        except StoreAwayError:
            raise
        except TransientError as error:
            return standing.TryLater(reason=str(error), wait=error.retry_after)
        return standing.classify(reply, settings.standing_field)

    async def _record(self, connected: Connected, wanted: Sequence[Wanted], said: standing.Said) -> bool:
        """Record what was *said* to the first of *wanted*; False when the others need not be tried now."""
        connection, first = connected.connection, wanted[0]
        text = standing.text_of(first.command.standing, first.command.detail)
        match said:
            case standing.Done():
                await self._standings.settle(first, text, None)
                return True
            case standing.Hidden():
                if (wait := standing.wait_for_hidden(first.tries)) is None:
                    await self._standings.settle(first, text, None)
                else:
                    await self._standings.postpone([first], "Greenhouse does not show the application", wait)
                return True
            case standing.NotAllowed() as refused:
                log.info("standing.refused", account=connection.account, reason=refused.reason, remedy=refused.remedy)
                await self._standings.refuse(connection.account, connection.revision, refused, standing.ASK_AGAIN)
                await self._standings.postpone(wanted, refused.reason, timedelta())
            case standing.TryLater(reason=reason, wait=wait):
                await self._standings.postpone(wanted, reason, wait or _back_off(connected, first))
            case _:
                assert_never(said)
        return False

    def _envelope(self, wanted: Wanted, note: AddNote) -> Envelope:
        return Envelope(
            id=stable_id("message", note.command_id),
            source=SOURCE,
            accountid=wanted.account,
            time=self._clock.now(),
            data=note,
            correlationid=wanted.correlationid,
            causationid=str(wanted.command.command_id),
            subject=f"application/{note.application_id}",
        )


def _back_off(connected: Connected, wanted: Wanted) -> timedelta:
    """Return a wait after which a write without an answer has arrived, or never will: a later one must come last."""
    jitter = full_jitter(wanted.tries + 1, random.random())  # noqa: S311 - jitter
    return max(jitter, connected.connection.second_read)
