"""Exchanges, queues and bindings as data, and what declares them.

One job applies this table (`trellis apply-topology`); services only check passively and consume. What
may change later stands in policies, because a declaration with other arguments is refused with 406;
where no management address is given, the same settings are declared as arguments.

Source: RabbitMQ documentation, "Quorum Queues" and "Dead Lettering"; accepted by 3.10 and later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import aiohttp

from trellis.common.errors import BrokerAwayError, PermanentError

EXCHANGE: Final = "trellis"
DELIVERY_LIMIT: Final = 20
"""Redeliveries after which the broker itself sets a message aside (20 is RabbitMQ 4's own default)."""
RETRY_STEPS: Final[dict[str, int]] = {"1s": 1, "10s": 10, "1m": 60, "10m": 600}
"""Delays of a message that failed for now: name of the step -> seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundQueue:
    """The one queue a service consumes, with the routing patterns bound to it."""

    name: str
    bindings: tuple[str, ...]

    def retry(self, step: str) -> str:
        """Return the name of the queue that gives a message back after *step*."""
        return f"{self.name}.retry.{step}"

    @property
    def dead(self) -> str:
        """The name of the queue that keeps what a person must see."""
        return f"{self.name}.dead"


WORKFLOW: Final = InboundQueue(
    name="workflow.inbound",
    bindings=(
        "application.stage_changed.v1",
        "application.created.v1",
        "application.updated.v1",
        "application.rejected.v1",
        "application.unrejected.v1",
        "application.hired.v1",
        "application.unhired.v1",
        "application.deleted.v1",
        "application.observed.v1",
        "entry.accepted.v1",
        "invite.ordered.v1",
        "candidate.updated.v1",
        "candidate.merged.v1",
        "candidate.deleted.v1",
        "candidate.anonymized.v1",
        "candidate.erased.v1",
        "command.settled.v1",
        "assessment.started.v1",
        "assessment.completed.v1",
    ),
)
GREENHOUSE_ACTIONS: Final = InboundQueue(
    name="greenhouse-actions.inbound",
    bindings=(
        "note.add.v1",
        "application.move.v1",
        "application.observe.v1",
        "standing.show.v1",
        "candidate.anonymized.v1",
        "candidate.merged.v1",
        "job.changed.v1",
        "stage.deleted.v1",
    ),
)
ASSESSMENTS: Final = InboundQueue(
    name="assessments.inbound",
    bindings=(
        "invite.send.v1",
        "result.attach.v1",
        "invite.withdraw.v1",
        "assessment.signalled.v1",
        "candidate.updated.v1",
        "candidate.merged.v1",
        "candidate.deleted.v1",
        "candidate.anonymized.v1",
        "candidate.erased.v1",
    ),
)
INGEST: Final = InboundQueue(name="ingest.inbound", bindings=("address.erased.v1",))
QUEUES: Final = (WORKFLOW, GREENHOUSE_ACTIONS, ASSESSMENTS, INGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What RabbitMQ is told about one queue, beyond its being a durable quorum queue."""

    name: str
    settings: dict[str, str | int]


def all_queues() -> list[QueueSettings]:
    """Return every queue there is to be: each service's, its dead letters and its delays."""
    declared = []
    for queue in QUEUES:
        safe: dict[str, str | int] = {
            "dead-letter-exchange": "",
            "dead-letter-routing-key": queue.dead,
            "dead-letter-strategy": "at-least-once",
            "overflow": "reject-publish",
            "delivery-limit": DELIVERY_LIMIT,
        }
        declared.append(QueueSettings(name=queue.name, settings=safe))
        declared.append(QueueSettings(name=queue.dead, settings={"overflow": "reject-publish"}))
        for step, seconds in RETRY_STEPS.items():
            back = safe | {"dead-letter-routing-key": queue.name, "message-ttl": seconds * 1000}
            declared.append(QueueSettings(name=queue.retry(step), settings=back))
    return declared


async def apply_topology(broker_url: str, management_url: str | None = None) -> int:
    """Declare everything; applying it again changes nothing.

    Args:
        broker_url: `amqp://user:password@host:port/vhost`, with rights to configure.
        management_url: `http://user:password@host:port` of the management plugin, for policies; None
            declares the settings as arguments instead.

    Returns:
        How many queues are declared.

    Raises:
        BrokerAwayError: The broker cannot be reached.
        PermanentError: The broker refuses a declaration, because a queue of this name exists otherwise.
    """
    try:
        connection = await aio_pika.connect(broker_url, timeout=10)
    except (OSError, aio_pika.exceptions.AMQPError, TimeoutError) as error:
        raise BrokerAwayError(f"the broker cannot be reached ({type(error).__name__})") from error
    queues = all_queues()
    async with connection:
        channel = await connection.channel()
        try:
            exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
            for queue in queues:
                arguments: dict[str, str | int] = {"x-queue-type": "quorum"}
                if management_url is None:
                    arguments |= {f"x-{key}": value for key, value in queue.settings.items()}
                await channel.declare_queue(queue.name, durable=True, arguments=dict(arguments))
            for inbound in QUEUES:
                bound = await channel.get_queue(inbound.name)
                for pattern in inbound.bindings:
                    await bound.bind(exchange, routing_key=pattern)
        except aio_pika.exceptions.AMQPError as error:
            raise PermanentError(
                f"the broker refuses the topology: {error}; delete the queue named there when it is empty, "
                "or apply with the same way (management address or not) as the first time"
            ) from error
    if management_url is not None:
        await _apply_policies(broker_url, management_url, queues)
    return len(queues)


def management_of(broker_url: str, management_url: str) -> tuple[str, str, dict[str, str]]:
    """Return the management API's address without its credential, the virtual host as a path's part, and the headers."""
    parts = urlsplit(management_url)
    vhost = quote(unquote(urlsplit(broker_url).path[1:]) or "/", safe="")
    basic = aiohttp.encode_basic_auth(unquote(parts.username or ""), unquote(parts.password or ""))
    return f"{parts.scheme}://{parts.hostname}:{parts.port}", vhost, {"Authorization": basic}


async def _apply_policies(broker_url: str, management_url: str, queues: list[QueueSettings]) -> None:
    base, vhost, headers = management_of(broker_url, management_url)
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        for queue in queues:
            policy = {
                "pattern": f"^{re.escape(queue.name)}$",
                "apply-to": "queues",
                "priority": 10,
                "definition": queue.settings,
            }
            url = f"{base}/api/policies/{vhost}/{quote(f'trellis {queue.name}', safe='')}"
            try:
                async with session.put(url, json=policy) as answer:
                    if answer.status >= 300:
                        raise PermanentError(f"the broker refuses the policy of {queue.name}: HTTP {answer.status}")
            except aiohttp.ClientError as error:
                raise BrokerAwayError(f"the broker's management API is away ({type(error).__name__})") from error
