"""Planted bugs of erasures; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulation.twins import assessments, people
from simulation.twins.ingest import MemoryBodies
from simulation.twins.memory import tx
from simulation.twins.people import MemoryPeople
from trellis.assessments.adapters.people_store import Erased

_Put = Callable[[Any, str, Any], None]


def erasure_forgets_the_address(put: _Put) -> None:
    """Whoever is erased keeps the address in the invite."""

    async def erase(self: Any, connection: Any, *rest: Any) -> Erased:
        return Erased(commands=(), address_hashes=())

    put(MemoryPeople, "erase", erase)


def erased_is_forgotten(put: _Put) -> None:
    """Nobody asks who was erased before an address is sealed: what was read before and is written after stays."""
    for module in (people, assessments):
        put(module, "is_erased", lambda *_: False)


def merge_brings_the_erased(put: _Put) -> None:
    """A merge that is told after its survivor's erasure is a merge like any other."""
    real = MemoryPeople.merge

    async def merge(self: Any, *rest: Any) -> None:
        await real(self, *rest)

    put(MemoryPeople, "merge", merge)


def late_bodies_are_kept(put: _Put) -> None:
    """The bodies of an erased person go, and those that come later stay."""
    real = MemoryBodies.forget

    async def forget(self: Any, connection: Any, account: Any, hashes: Sequence[str]) -> int:
        count = await real(self, connection, account, hashes)
        for hashed in hashes:
            tx(connection).put("erased_address", (account, hashed), None)
        return count

    put(MemoryBodies, "forget", forget)


def bodies_are_left(put: _Put) -> None:
    """Ingest is not told whose addresses are to be forgotten."""

    async def forget(self: Any, *_: Any) -> int:
        return 0

    put(MemoryBodies, "forget", forget)
