"""Calls from one process to another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from simulation.process import KilledError, Process
from trellis.common.errors import TransientError

_T = TypeVar("_T")


async def asked(process: Process | None, work: Coroutine[Any, Any, _T]) -> _T:
    """Run *work* in another *process*, as an internal call over HTTP; its death is a cut connection.

    Raises:
        TransientError: The process is not there, or died meanwhile.
    """
    if process is None or not process.alive:
        work.close()
        raise TransientError("the other service cannot be reached")
    answer: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        try:
            found = await work
        except (KilledError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - it becomes an answer with a fault
            if not answer.done():
                answer.set_exception(TransientError(f"the other service answered 503 ({error})"))
            return
        if not answer.done():
            answer.set_result(found)

    def died() -> None:
        if not answer.done():
            answer.set_exception(TransientError("the other service died"))

    process.start(serve())
    process.at_death[answer] = died
    try:
        async with asyncio.timeout(8.0):
            return await answer
    except TimeoutError:
        raise TransientError("the other service did not answer in time") from None
    finally:
        process.at_death.pop(answer, None)
