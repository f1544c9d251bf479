"""The last instant before an invite leaves: its slot, and the age of what it rests on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.coderbyte import CoderbyteTwin

from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.domain.invites import Answered, InviteRequest, NeverLeft
from trellis.assessments.domain.options import Options
from trellis.assessments.gateway import Gateway
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.common.ledger.breakers import Breakers
from trellis.common.runtime.metrics import Metrics

ORGANIZATION = Organization(
    account=AccountId("acme"), base_url="", organization_id="o", api_key="key", options=Options(concurrency=1)
)


def gateway(twin: CoderbyteTwin) -> Gateway:
    unused: Any = None
    metrics = Metrics("assessments")
    return Gateway(twin, unused, metrics, Breakers("coderbyte", metrics))


def request(twin: CoderbyteTwin) -> InviteRequest:
    twin.add_assessment("t")
    return InviteRequest(address="a@b.example", assessment_url=twin.listing[0]["public_url"], read_at=0.0)


async def test_an_invite_whose_reading_is_too_old_does_not_leave() -> None:
    twin = CoderbyteTwin()
    wanted = request(twin)
    seen = await gateway(twin).invite(ORGANIZATION, wanted, before=time.monotonic() - 0.01)
    assert isinstance(seen, NeverLeft)
    assert twin.calls["invite"] == 0


async def test_an_invite_waits_for_a_slot_no_longer_than_its_reading_lasts() -> None:
    twin = CoderbyteTwin()
    wanted, sent, going = request(twin), twin.invite, asyncio.Event()

    async def slow(organization: Organization, asked: InviteRequest) -> Any:
        await going.wait()
        return await sent(organization, asked)

    twin.invite = slow  # type: ignore[method-assign]
    made = gateway(twin)
    first = asyncio.ensure_future(made.invite(ORGANIZATION, wanted, before=time.monotonic() + 9))
    await asyncio.sleep(0)
    started = time.monotonic()
    second = await made.invite(ORGANIZATION, replace(wanted, address="c@d.example"), before=started + 0.1)
    assert isinstance(second, NeverLeft)
    assert time.monotonic() - started < 1.5
    going.set()
    assert isinstance(await first, Answered)
    assert isinstance(await made.invite(ORGANIZATION, wanted, before=time.monotonic() + 9), Answered)


class AwayBudget:
    """A budget whose database is away."""

    async def told(self, *_: Any, **__: Any) -> None:
        raise StoreAwayError("the database is away")


@pytest.mark.parametrize("status", [429, 503])
async def test_an_answer_is_kept_when_the_database_goes_away_before_the_budget_is_told(status: int) -> None:
    twin, metrics = CoderbyteTwin(), Metrics("assessments")

    async def refuse(organization: Organization, asked: InviteRequest) -> Any:
        return Answered(status=status, body=b"", retry_after="7")

    twin.invite = refuse  # type: ignore[method-assign]
    budgets: Any = lambda vendor, **_: AwayBudget()  # noqa: E731 - a port of one method
    made = Gateway(twin, budgets, metrics, Breakers("coderbyte", metrics))
    seen = await made.invite(ORGANIZATION, request(twin), before=time.monotonic() + 9)
    assert isinstance(seen, Answered)
    assert (seen.status, seen.retry_after) == (status, "7")
