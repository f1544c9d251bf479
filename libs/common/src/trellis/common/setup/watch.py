"""The steady look at set-ups in the background: one account at a time, at a low pace, shown and said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from trellis.common.contracts.findings import INSTALLATION, Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError, TransientError
from trellis.common.runtime.metrics import Metrics
from trellis.common.setup.faults import Change, Faults
from trellis.common.store.tenancy import serving

log = structlog.get_logger()

PACE_SECONDS: Final = 5.0
"""Between two looks of one replica, whatever is due: a thousand accounts are looked at one after the other."""


class Examiner(Protocol):
    """Looks at one service's part of set-ups."""

    async def accounts(self) -> Sequence[AccountId]:
        """Return whom there is to look at, `INSTALLATION` first.

        Raises:
            TransientError: It cannot be told now.
        """

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        """Look at the set-up of *account*, or at what concerns all of them, and return what is wrong.

        Raises:
            TransientError: It could not be looked at now, which is no fault of the set-up.
        """


class Watch:
    """Looks at every account's set-up once an interval, all replicas together.

    Args:
        examiner: Looks.
        faults: Keeps what was found.
        metrics: The service's; `setup_faults` shows how many faults each check found.
        every: From one look at an account to its next.
    """

    def __init__(self, examiner: Examiner, faults: Faults, metrics: Metrics, *, every: timedelta) -> None:
        self._examiner = examiner
        self._faults = faults
        self._every = every
        self._count = metrics.gauge(
            "setup_faults",
            "Faults of a set-up that the latest look found; `trellis doctor` tells them",
            ("account", "check"),
        )

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(PACE_SECONDS)

    async def step(self) -> AccountId | None:
        """Look at one account that is due, and show what is known of all; return whom it looked at.

        A look that fails is no reason to end the service, also where another one refuses to answer: as it does while
        this process's clock is wrong.
        """
        account = None
        try:
            account = await self._faults.due(await self._examiner.accounts(), self._every)
            if account is not None:
                await self.look(account)
            await self._show()
        except (TransientError, PermanentError) as error:
            log.warning("setup.waiting", reason=str(error))
        return account

    async def look(self, account: AccountId) -> Sequence[Finding]:
        """Look at *account* now, keep and return what is wrong, and say what appeared and what went.

        Raises:
            TransientError: It could not be looked at now; what was known stays.
        """
        with serving(None if account == INSTALLATION else account):
            findings = await self._examiner.examine(account)
            _say(account, await self._faults.keep(account, findings))
        return findings

    async def _show(self) -> None:
        counts = await self._faults.counts()
        self._count.clear()
        for (account, check), count in counts.items():
            self._count.labels(account, check).set(count)


def _say(account: AccountId, change: Change) -> None:
    for finding in change.appeared:
        log.warning(
            "setup.fault", account=account, kind=finding.check, name=finding.subject, reason=finding.fault,
            remedy=finding.remedy,
        )  # fmt: skip
    for check, subject, fault in change.gone:
        log.info("setup.mended", account=account, kind=check, name=subject, reason=fault)
