"""Looks at the broker without changing anything: is it there, does it take messages, is our topology there?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aio_pika
import aiohttp
from aio_pika.abc import AbstractConnection

from trellis.common.bus.connection import AWAY
from trellis.common.bus.topology import EXCHANGE, InboundQueue, QueueSettings, management_of
from trellis.common.errors import BrokerAwayError
from trellis.common.setup.plumbing import BrokerSeen, QueueSeen, Value

SECONDS: Final = 5.0
"""Longest wait for one answer."""
TAKES_SECONDS: Final = 3.0
"""Longest wait for a confirm; a broker with an alarm stops reading and says nothing."""
_PROBE: Final = "setup.probe"
"""Bound to no queue: the broker returns the message, which proves that it reads."""


async def inspect(url: str, queues: Iterable[str]) -> BrokerSeen:
    """Return what the broker at *url* shows of *queues*, over a connection of its own."""
    try:
        connection = await aio_pika.connect(
            url, timeout=SECONDS, client_properties={"connection_name": "trellis-setup"}
        )
    except AWAY as error:
        return BrokerSeen(away=type(error).__name__)
    try:
        async with asyncio.timeout(6 * SECONDS):
            seen = {name: await _queue(connection, name) for name in queues}
            has_exchange = await _has_exchange(connection)
            takes = not has_exchange or await _takes(connection)
        return BrokerSeen(takes=takes, has_exchange=has_exchange, queues=seen)
    except AWAY as error:
        return BrokerSeen(away=type(error).__name__)
    finally:
        await _close(connection)


async def _queue(connection: AbstractConnection, name: str) -> QueueSeen | None:
    # A queue that is not there ends its channel, so each has one of its own.
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return None
    result = queue.declaration_result
    await channel.close()
    return QueueSeen(messages=result.message_count or 0, consumers=result.consumer_count or 0)


async def _has_exchange(connection: AbstractConnection) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_exchange(EXCHANGE, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def _takes(connection: AbstractConnection) -> bool:
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(EXCHANGE, ensure=False)
    try:
        async with asyncio.timeout(TAKES_SECONDS):
            await exchange.publish(aio_pika.Message(b""), _PROBE, mandatory=True)
    except aio_pika.exceptions.DeliveryError:
        return True
    except TimeoutError:
        return False
    return True


async def _close(connection: AbstractConnection) -> None:
    """Close; a broker with an alarm does not read that either, so it is not waited for."""
    try:
        async with asyncio.timeout(1.0):
            await connection.close()
    except AWAY:
        pass


async def managed(
    url: str, management_url: str, inbound: Iterable[InboundQueue], wanted: Iterable[QueueSettings]
) -> tuple[frozenset[tuple[str, str]], dict[str, dict[str, Value]], list[str]]:
    """Return bindings, effective settings by queue, and alarms, as the management API tells them.

    Raises:
        BrokerAwayError: It cannot be asked.
    """
    base, vhost, headers = management_of(url, management_url)
    names = {queue.name for queue in wanted}
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
            queues = await _asked(session, f"{base}/api/queues/{vhost}")
            bindings = await _asked(session, f"{base}/api/bindings/{vhost}")
            nodes = await _asked(session, f"{base}/api/nodes")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise BrokerAwayError(f"the broker's management API cannot be asked ({type(error).__name__})") from None
    bound = {
        (str(item["destination"]), str(item["routing_key"])) for item in bindings if item.get("source") == EXCHANGE
    }
    settings = {str(item["name"]): _settings(item) for item in queues if item["name"] in names}
    alarms = [
        word for word, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")) if any(n.get(key) for n in nodes)
    ]
    relevant = {queue.name for queue in inbound}
    return frozenset(pair for pair in bound if pair[0] in relevant), settings, alarms


async def _asked(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(url) as answer:
        answer.raise_for_status()
        found = await answer.json()
    if not isinstance(found, list):
        raise ValueError("no list")
    return found


def _settings(queue: Mapping[str, Any]) -> dict[str, Value]:
    arguments = {str(key).removeprefix("x-"): value for key, value in (queue.get("arguments") or {}).items()}
    policy = queue.get("effective_policy_definition") or {}
    return {**arguments, **(policy if isinstance(policy, dict) else {})}
