"""Planted bugs of databases that are put back to a backup; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulation.twins import epochs, ledger
from simulation.twins.memory import tx

_Put = Callable[[Any, str, Any], None]


def restore_is_not_noticed(put: _Put) -> None:
    """Nobody compares the database with the mark at the broker."""

    async def holds(self: Any, nonce: Any) -> bool:
        return True

    put(epochs.MemoryMarks, "holds", holds)


def restored_is_not_doubted(put: _Put) -> None:
    """What waits in a restored database is believed never to have been done."""

    async def doubt(*_: Any) -> None:
        return None

    put(epochs, "_doubt", doubt)


def decided_again_is_new(put: _Put) -> None:
    """What is decided again after a restore is attempted without a look-up."""
    put(ledger, "_first_state", lambda opened, command: {})


def under_way_is_lost(put: _Put) -> None:
    """What was under way between services at the backup is not sent again."""

    async def send_again(*_: Any) -> None:
        return None

    put(epochs, "send_again", send_again)


def stale_look_is_believed(put: _Put) -> None:
    """Restored mode begins although another epoch has begun, or a person has ended it, while somebody looked."""
    real = epochs.MemoryEpochs.enter

    async def enter(self: Any, seen: Any) -> bool:
        async with self._session.acquired() as connection:
            newest = epochs._newest(tx(connection))
        return await real(self, newest[0]["nonce"] if newest else seen)

    put(epochs.MemoryEpochs, "enter", enter)
