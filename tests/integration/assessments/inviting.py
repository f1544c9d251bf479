"""Invites that are out already, which the tests of signals and results begin with."""

from __future__ import annotations

from typing import Any

from tests.integration.assessments.bench import Bench

from trellis.common.contracts.envelope import Envelope


async def invited(bench: Bench, application: int = 1, **more: Any) -> Envelope:
    command = bench.invite(application, **more)
    await bench.take(command)
    await bench.until(lambda: is_done(bench, command))
    return command


async def is_done(bench: Bench, command: Envelope) -> bool:
    return await bench.state(command) == "done"


async def progress(bench: Bench) -> list[str]:
    return [row["progress"] for row in await bench.fetch("select progress from invite order by created_at")]
