"""Planted bugs of orders by hand; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trellis.assessments import withdrawing
from trellis.assessments.withdrawing import NEVER_LEFT, Withdrawing
from trellis.common.contracts.identifiers import CommandId, command_id
from trellis.workflow.domain import ordering

_Put = Callable[[Any, str, Any], None]


def no_tombstone(put: _Put) -> None:
    """A withdrawal of an invite that is not known yet leaves nothing behind."""
    real = Withdrawing._withdraw

    async def withdraw(self: Withdrawing, connection: Any, envelope: Any, command: Any) -> str:
        ident = CommandId(command.invite.command_id)
        if await self.publisher.ledger.held(connection, ident, envelope.accountid) is None:
            return NEVER_LEFT
        return await real(self, connection, envelope, command)

    put(withdrawing.Withdrawing, "_withdraw", withdraw)


def sent_again(put: _Put) -> None:
    """An order to send makes an invite of its own whenever it is given."""
    put(
        ordering,
        "_ident",
        lambda state, visit, action, ordinal: command_id(
            state.account, state.application_id, visit.name, action.value, f"{ordinal} {len(state.orders)}"
        ),
    )
