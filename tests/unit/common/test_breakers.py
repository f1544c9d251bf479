"""What the breakers of one process tell of a connection that is asked nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger import breaker as machine
from trellis.common.ledger import breakers as module
from trellis.common.ledger.breakers import Breakers
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.metrics import Metrics

ACME, OTHER = AccountId("acme"), AccountId("other")


def test_until_when_an_account_is_asked_nothing_is_told_while_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: passed)
    breakers = Breakers("greenhouse", Metrics("held"))
    for _ in range(machine.FAILURES - 1):
        breakers.failed(ACME)
    assert breakers.held_until(ACME) is None
    breakers.failed(ACME)
    until = breakers.held_until(ACME)
    assert until is not None
    assert timedelta() < until - utc_now() <= timedelta(seconds=machine.FIRST_SECONDS)
    assert breakers.held_until(OTHER) is None
    passed += machine.FIRST_SECONDS
    assert breakers.held_until(ACME) is None, "a reading may try"
    with breakers.reading(ACME):
        assert breakers.held_until(ACME) is not None, "another one may not"
    assert breakers.held_until(ACME) is None
