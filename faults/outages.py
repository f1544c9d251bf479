"""How broker, database and the spool's disk are taken away and given back; each says whether it truly was so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import asyncpg
from tools.dev.postgres import PostgresServer
from tools.dev.rabbitmq import RabbitServer

from faults.disk import refusals
from faults.processes import freeze, is_frozen, thaw
from faults.relay import Relay
from faults.stage import Stage

_ALARM_SECONDS = 5.0
"""How long the broker is given to see that it has too little memory or disk."""
_ALARMS = {
    "memory alarm": ("set_vm_memory_high_watermark", "1MB", "1GB", "mem_alarm"),
    "disk alarm": ("set_disk_free_limit", "1000000GB", "100MB", "disk_free_alarm"),
}
"""The command of `rabbitmqctl`, the value that raises the alarm, the usual one, and how the node tells of it."""


class Outages:
    """Takes servers away from a running stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def broker(self, what: str, seconds: float) -> bool:
        """Do *what* (see `plan.BROKER`) to RabbitMQ for *seconds*; return whether it came about."""
        server = self._stage.rabbitmq
        if what in _ALARMS:
            async with self._alarm(what) as is_raised:
                await asyncio.sleep(seconds)
            return is_raised
        return await self._away(server, self._stage.broker, what, seconds)

    async def database(self, what: str, seconds: float) -> bool:
        """Do *what* (see `plan.DATABASE`) to PostgreSQL for *seconds*; return whether it came about."""
        if what != "readonly":
            return await self._away(self._stage.postgres, self._stage.database, what, seconds)
        try:
            is_readonly = await self._readonly("on")
            await asyncio.sleep(seconds)
        finally:
            await self._readonly("off")
        return is_readonly

    async def disk(self, seconds: float) -> bool:
        """Let the broker take nothing, for want of disk, and the spool's disk be full; return whether a row was refused.

        A webhook is safe nowhere then: it must be answered 503, and the vendor delivers it again.
        """
        log = self._stage.postgres.log
        before = refusals(log)
        try:
            await self._stage.disk.fill()
            async with self._alarm("disk alarm"):
                await asyncio.sleep(seconds)
        finally:
            await self._stage.disk.clear()
        return refusals(log) > before

    async def _away(self, server: PostgresServer | RabbitServer, relay: Relay, what: str, seconds: float) -> bool:
        match what:
            case "kill" | "stop":
                await asyncio.to_thread(server.kill if what == "kill" else server.stop)
                is_down = server.pid is None
                await asyncio.sleep(seconds)
                await asyncio.to_thread(server.start)
                return is_down
            case "pause":
                pid = server.pid
                return await _for(seconds, lambda: freeze(pid), lambda: thaw(pid), lambda: is_frozen(pid))
            case _:
                begin = relay.cut if what == "cut" else relay.silence
                return await _for(seconds, begin, relay.mend, lambda: relay.hurt_count > 0)

    @contextlib.asynccontextmanager
    async def _alarm(self, what: str) -> AsyncIterator[bool]:
        command, low, usual, field = _ALARMS[what]
        limit = ("absolute",) if what == "memory alarm" else ()
        control = self._stage.rabbitmq.control
        try:
            await asyncio.to_thread(control, command, *limit, low)
            yield await _comes_true(lambda: self._node_says(field), _ALARM_SECONDS)
        finally:
            await asyncio.to_thread(control, command, *limit, usual)

    def _node_says(self, field: str) -> bool:
        with contextlib.suppress(OSError):
            nodes = self._stage.rabbitmq.call("GET", f"/api/nodes?columns={field}")
            return isinstance(nodes, list) and any(node[field] for node in nodes)
        return False

    async def _readonly(self, word: str) -> bool:
        """Let PostgreSQL refuse every write, as a standby does; return whether it does."""
        connection = await asyncpg.connect(self._stage.postgres.url)
        try:
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(f"alter system set default_transaction_read_only = {word}")
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()
        fresh = await asyncpg.connect(self._stage.postgres.url)
        try:
            return bool(await fresh.fetchval("show default_transaction_read_only") == "on")
        finally:
            await fresh.close()


async def _for(seconds: float, begin: Callable[[], None], end: Callable[[], None], is_so: Callable[[], bool]) -> bool:
    begin()
    try:
        await asyncio.sleep(seconds)
        return is_so()
    finally:
        end()


async def _comes_true(check: Callable[[], bool], seconds: float) -> bool:
    for _ in range(round(seconds / 0.25)):
        if await asyncio.to_thread(check):
            return True
        await asyncio.sleep(0.25)
    return False
