"""What is wrong with broker, outbox and spool. Pure: what was seen comes in, findings go out.

The services tell their own part by this, `trellis doctor` the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from trellis.common.bus.topology import InboundQueue, QueueSettings
from trellis.common.contracts.findings import Finding, spoken
from trellis.common.contracts.identifiers import AccountId

LATE: Final = timedelta(minutes=2)
"""How old the oldest message to be sent may be: a relay sends within a second, and again after a lost lease."""
HOLDING: Final = frozenset({"broker-away", "broker-alarm", "topology-missing"})
"""Checks whose faults make messages wait, so that spool and outbox need no fault of their own."""

Value = str | int
_UNHANDLED: Final = "what they told or ordered did not happen; the applications they name stay as they are"
_HELD: Final = "what was decided waits and nobody gets an invite or moves on until then; nothing is lost"
_TOPOLOGY: Final = "run `trellis apply-topology`"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSeen:
    """One queue as the broker shows it."""

    messages: int
    consumers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSeen:
    """What a look at the broker saw.

    Attributes:
        away: Why it cannot be reached; empty when it can.
        takes: Whether it took a message; a broker with an alarm takes none.
        has_exchange: Whether our exchange is there.
        queues: The queues that were asked for, by name; one that is not there is None.
        bindings: Queue and routing key of each binding; None when they were not looked at.
        settings: What policies and arguments set for each queue; None when they were not looked at.
        alarms: What the broker says is short (`memory`, `disk`); empty when it does not say.
    """

    away: str = ""
    takes: bool = True
    has_exchange: bool = True
    queues: Mapping[str, QueueSeen | None] = field(default_factory=dict)
    bindings: frozenset[tuple[str, str]] | None = None
    settings: Mapping[str, Mapping[str, Value]] | None = None
    alarms: Sequence[str] = ()


def of_broker(seen: BrokerSeen, inbound: Sequence[InboundQueue], wanted: Sequence[QueueSettings]) -> list[Finding]:
    """Return what is wrong with the broker, as far as *inbound*'s consumers and the *wanted* queues go."""
    if seen.away:
        return [_away(seen.away)]
    missing = [] if seen.has_exchange else ["the exchange"]
    missing += [name for name, queue in sorted(seen.queues.items()) if queue is None]
    found = [_missing(missing)] if missing else []
    if not seen.takes or seen.alarms:
        found.append(_alarm(seen.alarms))
    for queue in inbound:
        found += _of_queue(queue, seen)
    there = [queue for queue in wanted if seen.queues.get(queue.name) is not None]
    if seen.settings is not None:
        found += [_policy(queue.name) for queue in there if not _is_set(queue, seen.settings.get(queue.name, {}))]
    return found


def _of_queue(queue: InboundQueue, seen: BrokerSeen) -> list[Finding]:
    found = []
    there, dead = seen.queues.get(queue.name), seen.queues.get(queue.dead)
    service = queue.name.removesuffix(".inbound")
    if there is not None and there.consumers == 0:
        found.append(
            Finding(
                check="queue-without-consumer",
                subject=queue.name,
                fault=f"nobody consumes {queue.name}; {there.messages} messages wait in it",
                meaning=f"everything that {service} is to do waits until somebody does; nothing is lost",
                remedy=f"start {service} (`trellis run {service}`); if it runs, its log says why it does not consume",
            )
        )
    if dead is not None and dead.messages > 0:
        found.append(
            Finding(
                check="dead-letters",
                subject=queue.dead,
                fault=f"{dead.messages} messages that could not be handled lie in {queue.dead}, where nobody sees them",
                meaning=_UNHANDLED,
                remedy=f"start {service}: it takes them into `trellis parked list`; if it runs, its log says why it does not",
            )
        )
    if there is not None and seen.bindings is not None:
        unbound = [key for key in queue.bindings if (queue.name, key) not in seen.bindings]
        if unbound:
            found.append(
                Finding(
                    check="binding-missing",
                    subject=queue.name,
                    fault=f"{queue.name} is not bound to {', '.join(unbound)}",
                    meaning=f"messages of these kinds never reach {service}: they wait in the spool or an outbox",
                    remedy=_TOPOLOGY,
                )
            )
    return found


def of_dead_letters(waiting: Mapping[tuple[str, AccountId | None], int]) -> list[Finding]:
    """Return that messages could not be handled and wait for a person: *waiting* counts them by queue and account."""
    found = []
    for queue in sorted({queue for queue, _ in waiting}):
        counts = {account: count for (name, account), count in waiting.items() if name == queue}
        whose = sorted(account or "" for account in counts)
        lists = [f"`trellis parked list --account {name}`" if name else "`trellis parked list`" for name in whose]
        found.append(
            Finding(
                check="dead-letters",
                subject=queue,
                fault=f"{sum(counts.values())} messages of {queue} could not be handled and wait for a person",
                meaning=_UNHANDLED,
                remedy=f"see {', '.join(lists)}; mend the cause, then `trellis parked redrive` or `drop` them",
            )
        )
    return found


def of_outbox(age: timedelta, service: str) -> list[Finding]:
    """Return what is wrong when the oldest message that *service* is to send is of *age*."""
    if age < LATE:
        return []
    return [
        Finding(
            check="outbox-stuck",
            subject=service,
            fault=f"messages of {service} wait to be sent, the oldest for {spoken(age)}",
            meaning=_HELD,
            remedy=f"mend what else is found of the broker; else look for `relay.` in the log of {service}",
        )
    ]


def database_restored(since: datetime, service: str) -> Finding:
    """Return the fault of *service*, whose database counts as restored, noticed at *since*."""
    return Finding(
        check="database-restored",
        subject=service,
        fault=f"the database of {service} was restored or is a copy, noticed {since:%Y-%m-%d %H:%M} UTC",
        meaning="nothing is sent: nobody is invited, noted or moved, lest it happens a second time",
        remedy="see `trellis restored status`; if no other Trellis works on these accounts, `trellis restored end`",
    )


def _is_set(queue: QueueSettings, settings: Mapping[str, Value]) -> bool:
    return all(settings.get(name) == value for name, value in queue.settings.items())


def _away(reason: str) -> Finding:
    return Finding(
        check="broker-away",
        fault=f"the broker cannot be reached ({reason})",
        meaning="webhooks wait in the spool and everything else where it is; nothing is lost, nobody is invited",
        remedy="start RabbitMQ, or mend TRELLIS_BROKER_URL: address, user, password and virtual host",
    )


def _missing(names: Sequence[str]) -> Finding:
    return Finding(
        check="topology-missing",
        fault=f"the broker lacks {', '.join(names)}",
        meaning="messages for it wait in the spool and the outboxes; nothing is lost, nobody is invited",
        remedy=_TOPOLOGY,
    )


def _alarm(alarms: Sequence[str]) -> Finding:
    short = f" (short of {' and '.join(alarms)})" if alarms else ""
    return Finding(
        check="broker-alarm",
        fault=f"the broker takes no messages: it has an alarm{short}",
        meaning="webhooks wait in the spool and everything else where it is; nothing is lost, nobody is invited",
        remedy="give RabbitMQ memory and disk again (`rabbitmqctl status` names the alarm)",
    )


def _policy(queue: str) -> Finding:
    return Finding(
        check="policy-missing",
        subject=queue,
        fault=f"{queue} has not the policy that makes it safe",
        meaning="a message that kills its consumer, or that no queue takes, may come for ever or be lost",
        remedy="run `trellis apply-topology` with TRELLIS_BROKER_MANAGEMENT_URL set",
    )
