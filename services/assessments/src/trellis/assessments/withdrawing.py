"""Takes an invite back, since a person said so; Coderbyte has no route for it (fact sheet, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from trellis.assessments.gateway import VENDOR
from trellis.assessments.outcomes import settled_by_hand, unique_key
from trellis.assessments.results import ResultPublisher
from trellis.common.contracts.commands import Action, WithdrawInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import CommandId
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State
from trellis.common.store.postgres import Connection

NEVER_LEFT: Final = "it had not gone out, and never will"
MAY_BE_OUT: Final = "it may have gone out; Coderbyte cannot take it back, and its result is shown only"
IS_OUT: Final = "it had gone out; Coderbyte cannot take it back, and its result is shown only"
CAME_TO_NOTHING: Final = "it had come to nothing before"
_UNDER_WAY: Final = (State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawing:
    """Withdraws invites, in the caller's transaction."""

    publisher: ResultPublisher

    async def withdraw(self, connection: Connection, envelope: Envelope, command: WithdrawInvite) -> None:
        """Let the invite never begin another attempt, and tell how far it had come; a second time changes nothing.

        An invite whose command has not come yet is recorded as withdrawn under its own id, so that its command
        finds it so.
        """
        said = await self._withdraw(connection, envelope, command)
        message = settled_by_hand(envelope, command.command_id, Action.WITHDRAW, command.invite, said)
        await self.publisher.database.put_out(connection, [message])

    async def _withdraw(self, connection: Connection, envelope: Envelope, command: WithdrawInvite) -> str:
        ledger, invites, invite = self.publisher.ledger, self.publisher.invites, command.invite
        account, ident = envelope.accountid, CommandId(invite.command_id)
        await ledger.take_in(connection, replace(envelope, data=invite), VENDOR, unique_key(invite))
        held = await ledger.held(connection, ident, account)
        if held is None:
            return CAME_TO_NOTHING
        if held.state in (State.REFUSED, State.SUPERSEDED):
            return CAME_TO_NOTHING
        if held.state is State.DONE:
            return IS_OUT
        stored = await invites.find(connection, account, ident, lock=True)
        is_doubtful = held.state in _UNDER_WAY or (stored is not None and stored.doubted)
        if is_doubtful:
            await invites.doubt(connection, account, ident, timedelta())
        said = MAY_BE_OUT if is_doubtful else NEVER_LEFT
        change = Change(occurrence=Occurrence.WITHDRAWN, reason=f"a person withdrew it: {said}", kind="person")
        await ledger.record(connection, held, held.attempt, change)
        return said
