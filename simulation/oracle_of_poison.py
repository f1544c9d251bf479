"""Messages that could not be handled: none is lost, each is in the list until a person decided, an order counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulation.poison import CONSUMERS, parked_rows
from trellis.common.bus.topology import ASSESSMENTS, WORKFLOW
from trellis.common.contracts.envelope import encode
from trellis.common.dead_letters.letters import State
from trellis.common.store.inbox import keys_of

if TYPE_CHECKING:
    from simulation.world import World


def poison(world: World) -> Iterator[str]:
    """Yield what became wrongly of messages that could not be handled, and what was only expected to be."""
    rows = {(row["death"].queue, row["death"].body): row for row in parked_rows(world)}
    settled = {
        key: row for key, row in rows.items()
        if row["state"] is State.DROPPED and row["death"].id in world.poison.dropped
    }  # fmt: skip
    for envelope in world.poison.sent:
        for service, queue in (("workflow", WORKFLOW), ("assessments", ASSESSMENTS)):
            inbox = world.memories[service].table("inbox")
            if (queue.name, encode(envelope)) in settled:
                continue
            if not any((envelope.accountid, key) in inbox for key in keys_of(envelope)):
                yield f"P2: message {envelope.id} could not be handled and was never put back on {queue.name}"
    for key in world.poison.junk:
        row = rows.get(key)
        if row is None:
            yield f"P2: {key[1].decode()} of {key[0]} is in no list"
        elif row["state"] is State.REDRIVEN:
            yield f"P5: {key[1].decode()} of {key[0]} was put back, died again and is in no list"
    for key, row in rows.items():
        if row["state"] is State.WAITING and key not in world.poison.junk:
            yield f"progress: a message to {key[0]} waits for a person: {row['death'].reason}"
    yield from _once(world)


def _once(world: World) -> Iterator[str]:
    """Whatever is told twice, a redrive that was noted put the message back once."""
    put_back: Counter[tuple[str, bytes]] = Counter()
    for service in CONSUMERS:
        for row in world.memories[service].table("outbox").values():
            if row.get("queue"):
                put_back[row["queue"], row["body"]] += 1
    for row in parked_rows(world):
        death = row["death"]
        if put_back[death.queue, death.body] != death.redriven_count:
            yield (
                f"P2: a message to {death.queue} was redriven {death.redriven_count} times "
                f"and put back {put_back[death.queue, death.body]} times"
            )
