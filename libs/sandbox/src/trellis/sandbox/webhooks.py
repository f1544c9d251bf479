"""From a prepared webhook to the wire, through the faults of delivery: drop, duplicate, delay, reorder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import replace

from trellis.sandbox.deliveries import Delivery
from trellis.sandbox.faults import Fault
from trellis.sandbox.world import Account


def dispatch(account: Account, delivery: Delivery, fault: Fault | None) -> None:
    """Log *delivery* and send it as *fault* says."""
    log = account.deliveries
    log.entries.append(delivery)
    kind = fault.kind if fault else None
    if fault is not None and kind == "drop":
        delivery.state = "dropped"
        return
    if fault is not None and kind == "reorder":
        delivery.state = "held"
        log.held.append(delivery)
        return
    if fault is not None and kind == "delay":
        account.world.dispatcher.send(delivery, delay_s=fault.seconds)
        return
    sent = [delivery]
    if fault is not None and kind == "duplicate":
        sent += [_copy(account, delivery) for _ in range(fault.copies)]
    held, log.held = log.held, []
    for each in sent:
        account.world.dispatcher.send(each)
    if held:
        account.world.dispatcher.follow(delivery, held)


def send_again(account: Account, delivery: Delivery, *, new_event_id: bool) -> Delivery:
    """Send the same bytes once more, with the event id of the first attempt or a new one."""
    again = _copy(account, delivery)
    again.waits = ()
    if new_event_id:
        account.world.event_count += 1
        event_id = str(7_000_000_000 + account.world.event_count)
        original = delivery.headers
        again.headers = lambda _attempt: (
            [(n, event_id if n == "Greenhouse-Event-ID" else v) for n, v in original(1)[0]],
            event_id,
        )
    account.world.dispatcher.send(again)
    return again


def sent_since(account: Account, number: int) -> list[Delivery]:
    """The deliveries begun after delivery *number* whose first attempt is due at once."""
    return [d for d in account.deliveries.entries if d.id > number and d.state == "pending" and d.fault != "delay"]


async def first_attempts(deliveries: Iterable[Delivery]) -> None:
    """Wait until each of *deliveries* was tried once; not longer than its time-out."""
    for delivery in deliveries:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delivery.timeout_s + 1):
                await delivery.first_attempt_done.wait()


def _copy(account: Account, delivery: Delivery) -> Delivery:
    again = replace(
        delivery,
        id=account.world.dispatcher.next_id(),
        attempts=[],
        first_attempt_done=asyncio.Event(),
        state="pending",
    )
    account.deliveries.entries.append(again)
    return again
