"""The inbox: the first net against repeats, in the transaction that acts on the message."""

from __future__ import annotations

from collections.abc import Sequence

from trellis.common.contracts.envelope import Envelope
from trellis.common.store.postgres import Connection


def keys_of(envelope: Envelope) -> list[str]:
    """Return the keys under which *envelope* is known: its identity, and its content if it has a key."""
    keys = [f"id:{envelope.source}/{envelope.id}"]
    if envelope.contentkey is not None:
        keys.append(f"content:{envelope.contentkey}")
    return keys


async def take_in(connection: Connection, envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Record *envelopes* and return those that were not known, by either key, in their order.

    It belongs to the caller's transaction: rolled back with it, the messages are unknown again.
    """
    wanted = sorted({(item.accountid, key) for item in envelopes for key in keys_of(item)})
    rows = await connection.fetch(
        "insert into inbox (account_id, key) select * from unnest($1::text[], $2::text[]) "
        "on conflict do nothing returning account_id, key",
        [account for account, _ in wanted],
        [key for _, key in wanted],
    )
    new = {(row["account_id"], row["key"]) for row in rows}
    fresh: list[Envelope] = []
    for item in envelopes:
        keys = {(item.accountid, key) for key in keys_of(item)}
        if keys <= new:
            fresh.append(item)
            new -= keys  # a second copy in the same batch is a repeat
    return fresh


async def forget_old(connection: Connection, *, days: int = 30, most: int = 5000) -> int:
    """Delete up to *most* rows older than *days* and return how many went."""
    status = await connection.execute(
        "delete from inbox where ctid = any(array(select ctid from inbox "
        "where received_at < clock_timestamp() - make_interval(days => $1) limit $2))",
        days,
        most,
    )
    return int(status.split()[-1])
