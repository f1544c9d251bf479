"""Every service's part of the installation: its way to the broker, its queue, its outbox, its database's epoch."""

from __future__ import annotations

from datetime import timedelta

from trellis.common.bus.inspection import inspect
from trellis.common.bus.topology import RETRY_STEPS, InboundQueue
from trellis.common.contracts.findings import Finding
from trellis.common.dead_letters.store import DeadLetterStore
from trellis.common.ledger.epoch import Epochs
from trellis.common.setup.plumbing import HOLDING, database_restored, of_broker, of_dead_letters, of_outbox
from trellis.common.store.outbox import Outbox


class Part:
    """Looks at it.

    Args:
        service: The service's name.
        broker_url: The address it was given.
        queue: The queue it consumes; None when it consumes none.
        outbox: What it has to send; None when it has no outbox.
        epochs: Whether its database was restored; None when it makes no effects.
        letters: Its messages that could not be handled.
    """

    def __init__(
        self,
        service: str,
        broker_url: str,
        queue: InboundQueue | None,
        outbox: Outbox | None,
        epochs: Epochs | None = None,
        *,
        letters: DeadLetterStore,
    ) -> None:
        self._service = service
        self._broker_url = broker_url
        self._queue = queue
        self._outbox = outbox
        self._epochs = epochs
        self._letters = letters

    async def findings(self) -> list[Finding]:
        """Return what is wrong; an outbox that waits for a broker with a fault is not told besides.

        Raises:
            StoreAwayError: The database is away.
        """
        queues = [] if self._queue is None else [self._queue]
        names = [name for queue in queues for name in (queue.name, queue.dead, *map(queue.retry, RETRY_STEPS))]
        found = await self._restored() + of_broker(await inspect(self._broker_url, names), queues, ())
        found += of_dead_letters(await self._letters.counts())
        if self._outbox is None or any(finding.check in HOLDING for finding in found):
            return found
        age = timedelta(seconds=await self._outbox.oldest_seconds())
        return found + of_outbox(age, self._service)

    async def _restored(self) -> list[Finding]:
        restoration = None if self._epochs is None else await self._epochs.restored()
        if restoration is None or restoration.ended_at is not None:
            return []
        return [database_restored(restoration.found_at, self._service)]
