"""The breakers of one vendor's connections, in the memory of one process: ledger and budget are durable, this is not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import VendorAwayError
from trellis.common.ledger import breaker as machine
from trellis.common.ledger.breaker import Breaker, Phase
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.metrics import Metrics

log = structlog.get_logger()

_NAMES: Final = {"greenhouse": "Greenhouse", "coderbyte": "Coderbyte"}
_GAUGE: Final = {Phase.CLOSED: 0, Phase.RAMPING: 1, Phase.HALF_OPEN: 2, Phase.OPEN: 3}
LEAST_WAIT: Final = timedelta(seconds=1)
"""How long what may not begin now is put off, at least."""


class Breakers:
    """Counts what comes of calls, and tells what may be asked of each account's connection.

    Args:
        vendor: `greenhouse` or `coderbyte`.
        metrics: The service's.
    """

    def __init__(self, vendor: str, metrics: Metrics) -> None:
        self._vendor = vendor
        self._known: dict[AccountId, Breaker] = {}
        self._state = metrics.gauge(
            "breaker_state",
            "Whether the vendor answers: 0 it does, 1 it does again and is asked more and more, 2 one reading tries, 3 it does not",
            ("account", "vendor"),
        )

    @contextmanager
    def reading(self, account: AccountId) -> Iterator[None]:
        """Run the block, which reads from the vendor, and count what comes of it.

        Raises:
            VendorAwayError: Nothing may be asked now; the block did not run. Or it was raised by the block.
        """
        before = self._of(account)
        after = machine.admitted(before, time.monotonic())
        if after is None:
            raise VendorAwayError(self.reason(account), retry_after=self.wait(account))
        self._become(account, after)
        try:
            yield
        except VendorAwayError:
            self.failed(account)
            raise
        except BaseException:
            self._become(account, machine.released(self._of(account), time.monotonic()))
            raise
        self.answered(account)

    def answered(self, account: AccountId) -> None:
        """Count an answer that was not 5xx."""
        self._become(account, machine.answered(self._of(account), time.monotonic()))

    def failed(self, account: AccountId) -> None:
        """Count a call without an answer, or with 5xx."""
        fraction = random.random()  # noqa: S311 - jitter
        self._become(account, machine.failed(self._of(account), time.monotonic(), fraction))

    def takes_writes(self, account: AccountId) -> bool:
        """Whether a write may leave now."""
        return machine.takes_writes(self._of(account))

    def most_rows(self, account: AccountId) -> int | None:
        """Return how many rows of *account* may be under way; None when there is no limit."""
        return machine.most_rows(self._of(account), time.monotonic())

    def shut(self) -> list[AccountId]:
        """Return the accounts whose vendor is not to be asked anything now."""
        return [account for account in self._known if self.most_rows(account) == 0]

    def is_limited(self, account: AccountId) -> bool:
        """Whether so few rows of *account* may be under way that each one's end lets another begin."""
        return self.most_rows(account) is not None

    def room(self, under_way: Mapping[AccountId, int], most: int) -> dict[AccountId, int]:
        """Return how many more rows of each account may begin, where that is not *most*.

        Args:
            under_way: Rows of each account that began and have not ended.
            most: Rows of one account that may be under way in any case.
        """
        found = {}
        for account in {*under_way, *self._known}:
            limit = self.most_rows(account)
            found[account] = max(0, (most if limit is None else min(most, limit)) - under_way.get(account, 0))
        return found

    def wait(self, account: AccountId) -> timedelta:
        """Return how long until *account*'s connection may be asked; a second while its probe is under way."""
        breaker = self._of(account)
        seconds = machine.seconds_left(breaker, time.monotonic()) if breaker.phase is Phase.OPEN else 0.0
        return max(timedelta(seconds=seconds), LEAST_WAIT)

    def held_until(self, account: AccountId) -> datetime | None:
        """Return until when nothing of *account* is asked, as this process knows its vendor; None when something may be."""
        breaker, now = self._of(account), time.monotonic()
        if machine.admitted(breaker, now) is not None:
            return None
        return utc_now() + timedelta(seconds=machine.seconds_left(breaker, now))

    def reason(self, account: AccountId) -> str:
        """Return, for people, why its work waits, and until when."""
        name = _NAMES.get(self._vendor, self._vendor)
        return f"{name} does not answer; waiting until {utc_now() + self.wait(account):%H:%M:%S} UTC to ask again"

    def _of(self, account: AccountId) -> Breaker:
        return self._known.get(account, _CLOSED)

    def _become(self, account: AccountId, after: Breaker) -> None:
        before = self._of(account)
        if after == _CLOSED:
            self._known.pop(account, None)
        else:
            self._known[account] = after
        if after.phase is before.phase:
            return
        self._state.labels(account, self._vendor).set(_GAUGE[after.phase])
        tell = log.warning if after.phase is Phase.OPEN else log.info
        seconds = round(machine.seconds_left(after, time.monotonic()), 1)
        tell(
            "breaker.changed",
            account=account,
            vendor=self._vendor,
            state=after.phase.value,
            reason=f"it was {before.phase.value}; looked at again in {seconds} s",
        )


_CLOSED: Final = Breaker()
