"""The least receiver of webhooks that keeps its word: it publishes the received bytes and waits for the confirm.

One process; nothing is authenticated, parsed, translated, counted or logged. Everything else is as `ingest` has it:
uvloop, aiohttp's runner with the same options, aio-pika on one channel with confirms, persistent and mandatory.
It reads where to work as JSON on standard input, prints its port, and ends when standard input does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import Any

import aio_pika
import uvloop
from aiohttp import web

from trellis.common.runtime.lifecycle import YOUNG_OBJECTS


async def serve(broker_url: str, queue: str) -> None:
    """Receive until standard input ends."""
    connection = await aio_pika.connect(broker_url, heartbeat=15)
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = channel.default_exchange

    async def receive(request: web.Request) -> web.Response:
        message = aio_pika.Message(await request.read(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, queue, mandatory=True)
        return web.Response(text="ok")

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/webhooks/greenhouse/{endpoint_token}", receive)
    app.router.add_post("/nothing", answer)
    options: dict[str, Any] = {
        "auto_decompress": False,
        "access_log": None,
        "keepalive_timeout": 75.0,
        "lingering_time": 2.0,
    }
    runner = web.AppRunner(app, **options)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
    await site.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()
    await connection.close()


def main() -> None:
    """Do what the first line of standard input says."""
    wanted = json.loads(sys.stdin.readline())
    uvloop.run(serve(wanted["broker_url"], wanted["queue"]))


if __name__ == "__main__":
    main()
