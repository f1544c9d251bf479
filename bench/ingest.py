"""Accepted webhooks per second: `trellis run ingest`, one process, against a bare receiver, same client, same run."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Final

import aio_pika
import aiohttp
import uvloop
from tools.dev.console import say
from tools.dev.paths import ROOT

from bench import machine
from bench.bodies import BODY_BYTES
from bench.figures import ratios, spread
from bench.pace import paced
from bench.report import Line, Sense
from bench.stage import Stage
from trellis.common.bus.topology import WORKFLOW

LIMIT: Final = 0.5
PAIRS: Final = 12
SECONDS: Final = 90.0
REQUESTS: Final = 2000
CONNECTIONS: Final = 64
LEAST_ACCEPTED: Final = 0.95
"""Fewer, and a run says nothing; on a machine that does much else a few are answered 503 by design."""
_BARE_QUEUE: Final = "bench.bare"
_SECRET: Final = "bench-webhook-secret-0001"


class _Side:
    """One of the two receivers."""

    def __init__(self, url: str, pid: int, queue: str) -> None:
        self._url = url
        self._pid = pid
        self._queue = queue
        self._first = 0
        self.refused = 0
        self.rates: list[float] = []
        self.cpu_ms: list[float] = []
        self.median_ms: list[float] = []
        self.p99_ms: list[float] = []

    def measure(self, broker_url: str, *, count: int, keep: bool = True) -> None:
        """Send *count* webhooks; what they led to is taken out of the queue afterwards."""
        wanted = {"url": self._url, "secret": _SECRET, "count": count, "first": self._first, "connections": CONNECTIONS}
        self._first += count
        before = machine.cpu_seconds(self._pid)
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(wanted), capture_output=True, text=True, check=False, cwd=ROOT, timeout=90,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"the load failed: {(done.stderr.strip() or '?').splitlines()[-1]}")
        cpu = machine.cpu_seconds(self._pid) - before
        said = json.loads(done.stdout)
        accepted = said["statuses"].get("200", 0)
        if accepted < count * LEAST_ACCEPTED or set(said["statuses"]) - {"200", "503"}:
            raise RuntimeError(f"too few webhooks were accepted: {said['statuses']}")
        uvloop.run(_purge(broker_url, self._queue))
        if not keep:
            return
        self.refused += count - accepted
        self.rates.append(accepted / said["seconds"])
        self.cpu_ms.append(cpu / count * 1000)
        self.median_ms.append(said["median_ms"])
        self.p99_ms.append(said["p99_ms"])


def run(stage: Stage) -> Line:
    """Measure; the two take turns, and which goes first changes from pair to pair."""
    stage.system.start("ingest")
    uvloop.run(_declare_bare(stage.broker_url))
    url = uvloop.run(_connect(stage))
    pid = stage.system.pid("ingest")
    if pid is None:
        raise RuntimeError("ingest ended")
    try:
        with bare_receiver(stage.broker_url, _BARE_QUEUE) as (bare_url, bare_pid):
            ours, bare = _Side(url, pid, WORKFLOW.name), _Side(bare_url, bare_pid, _BARE_QUEUE)
            for side in (ours, bare):
                side.measure(stage.broker_url, count=REQUESTS // 3, keep=False)
            with machine.watched_memory(lambda: {"ingest": stage.system.pid("ingest")}, stage.memory):
                for number in paced(PAIRS, seconds=SECONDS):
                    order: tuple[_Side, ...] = (ours, bare) if number % 2 == 0 else (bare, ours)
                    for side in order:
                        side.measure(stage.broker_url, count=REQUESTS)
                    say(
                        f"ingest {number + 1}/{PAIRS}: {ours.rates[-1]:,.0f} of {bare.rates[-1]:,.0f} webhooks a second"
                    )
        spooled = _spooled(stage)
    finally:
        stage.system.stop("ingest")
    ours_ms, bare_ms = spread(ours.cpu_ms).median, spread(bare.cpu_ms).median
    return Line(
        name="ingest",
        unit="webhooks/s",
        ratio=spread(ratios(ours.rates, bare.rates)),
        ours=spread(ours.rates),
        bare=spread(bare.rates),
        limit=LIMIT,
        sense=Sense.AT_LEAST,
        details={
            "body_bytes": BODY_BYTES,
            "connections": CONNECTIONS,
            "requests_a_run": REQUESTS,
            "ours_cpu_ms": round(ours_ms, 3),
            "bare_cpu_ms": round(bare_ms, 3),
            "ours_median_ms": round(spread(ours.median_ms).median, 1),
            "ours_p99_ms": round(spread(ours.p99_ms).median, 1),
            "bare_median_ms": round(spread(bare.median_ms).median, 1),
            "bare_p99_ms": round(spread(bare.p99_ms).median, 1),
            "spooled": spooled,
            "refused": ours.refused,
        },
        remarks=(
            f"processor time a webhook {ours_ms:.2f} ms, bare {bare_ms:.2f} ms",
            *((f"{spooled} webhooks went to the spool: the broker was late",) if spooled else ()),
            *((f"{ours.refused} webhooks were answered 503: broker and spool were late",) if ours.refused else ()),
        ),
    )


@contextlib.contextmanager
def bare_receiver(broker_url: str, queue: str) -> Iterator[tuple[str, int]]:
    """Give address and process id of a bare receiver that publishes into *queue*."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.bare_receiver"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        try:
            print(json.dumps({"broker_url": broker_url, "queue": queue}), file=process.stdin, flush=True)
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the bare receiver did not start")
            yield f"http://127.0.0.1:{port}/webhooks/greenhouse/{'t' * 43}", process.pid
            process.stdin.close()
            process.wait(10)
        finally:
            if process.poll() is None:
                process.kill()


async def declare_like(broker_url: str, queue: str, like: Callable[[], dict[str, str | int]]) -> None:
    """Declare *queue* as a quorum queue with the arguments of *like*."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments=dict(like()))


async def _declare_bare(broker_url: str) -> None:
    # The same kind of queue as workflow.inbound, whose settings come from policies (bus/topology.py).
    await declare_like(broker_url, _BARE_QUEUE, inbound_arguments)


def inbound_arguments() -> dict[str, str | int]:
    """Return what makes a queue one like `workflow.inbound`."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": WORKFLOW.dead,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 20,
    }


async def _connect(stage: Stage) -> str:
    """Make the endpoint by the internal API, as `trellis apply` does, and return its address."""
    async with aiohttp.ClientSession() as session:
        client = stage.internal(session, "ingest")
        await client.call("PUT", "/internal/v1/accounts/bench", {"greenhouse": {"webhook_secret": _SECRET}})
        shown = await client.call("GET", "/internal/v1/endpoints?account=bench")
    url: str = next(one["url"] for one in shown if one["vendor"] == "greenhouse")
    return url


async def _purge(broker_url: str, queue: str) -> None:
    """Empty *queue*, so that each run begins alike."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True)
        await found.purge()


def _spooled(stage: Stage) -> int:
    """Return how many webhooks the service itself counted as spooled: a run with some measured the spool."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{stage.system.admin_url('ingest')}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r'^trellis_ingest_webhooks_total\{[^}]*outcome="spooled"[^}]*\} (\S+)', text, re.MULTILINE)
    return int(sum(map(float, found)))
