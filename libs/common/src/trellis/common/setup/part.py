"""Every service's part of the installation: its way to the broker, its queue, its outbox."""

from __future__ import annotations

from datetime import timedelta

from trellis.common.bus.inspection import inspect
from trellis.common.bus.topology import RETRY_STEPS, InboundQueue
from trellis.common.contracts.findings import Finding
from trellis.common.setup.plumbing import HOLDING, of_broker, of_outbox
from trellis.common.store.outbox import Outbox


class Part:
    """Looks at it.

    Args:
        service: The service's name.
        broker_url: The address it was given.
        queue: The queue it consumes; None when it consumes none.
        outbox: What it has to send; None when it has no outbox.
    """

    def __init__(self, service: str, broker_url: str, queue: InboundQueue | None, outbox: Outbox | None) -> None:
        self._service = service
        self._broker_url = broker_url
        self._queue = queue
        self._outbox = outbox

    async def findings(self) -> list[Finding]:
        """Return what is wrong; an outbox that waits for a broker with a fault is not told besides.

        Raises:
            StoreAwayError: The database is away.
        """
        queues = [] if self._queue is None else [self._queue]
        names = [name for queue in queues for name in (queue.name, queue.dead, *map(queue.retry, RETRY_STEPS))]
        found = of_broker(await inspect(self._broker_url, names), queues, ())
        if self._outbox is None or any(finding.check in HOLDING for finding in found):
            return found
        age = timedelta(seconds=await self._outbox.oldest_seconds())
        return found + of_outbox(age, self._service)
