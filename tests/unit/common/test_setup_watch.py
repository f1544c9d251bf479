"""The steady look at set-ups goes on, whatever one look meets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from trellis.common.contracts.findings import Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, PermanentError, TransientError
from trellis.common.runtime.metrics import Metrics
from trellis.common.setup.faults import Change
from trellis.common.setup.watch import Watch

ONE = AccountId("one")


class Looks:
    """An examiner whose list of accounts, or whose look, fails, and what keeps no fault."""

    def __init__(self, *, listing: Exception | None = None, looking: Exception | None = None) -> None:
        self._listing, self._looking = listing, looking

    async def accounts(self) -> Sequence[AccountId]:
        if self._listing is not None:
            raise self._listing
        return [ONE]

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        if self._looking is not None:
            raise self._looking
        return []

    async def due(self, accounts: Sequence[AccountId], every: timedelta) -> AccountId | None:
        return accounts[0]

    async def keep(self, account: AccountId, findings: Sequence[Finding]) -> Change:
        return Change(appeared=[], gone=[])

    async def counts(self) -> dict[tuple[AccountId, str], int]:
        return {}


def watch(looks: Looks) -> Watch:
    return Watch(looks, looks, Metrics("watched"), every=timedelta(minutes=1))


@pytest.mark.parametrize(
    "error", [TransientError("away"), ConflictError("again"), PermanentError("workflow answered 401")], ids=str
)
async def test_a_look_that_fails_ends_nothing(error: Exception) -> None:
    assert await watch(Looks()).step() == ONE
    assert await watch(Looks(listing=error)).step() is None
    assert await watch(Looks(looking=error)).step() == ONE


async def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await watch(Looks(looking=KeyError())).step()
