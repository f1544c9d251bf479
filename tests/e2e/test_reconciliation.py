"""Missed webhooks are found, by real processes (P6), and never lead to a second effect (P1)."""

from __future__ import annotations

import asyncio
import json

from tests.e2e.conftest import Tenant

OFTEN = {"reconcile.interval": 1, "reconcile.delay": 0}


async def test_a_missed_entry_is_found_and_its_late_webhook_invites_nobody_again(tenant: Tenant) -> None:
    await tenant.apply(**OFTEN)
    await tenant.webhook_fault("delay", event="candidate_stage_change", seconds=4)
    application = await tenant.applies("Lia")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    texts = [step["text"] for step in await tenant.steps(application)]
    assert any("told by reconciliation" in text for text in texts), texts
    await asyncio.sleep(5.0)
    assert (await tenant.seen(application))["invites"] == 1


async def test_everything_missed_from_the_first_stage_to_the_move_is_made_up_for(tenant: Tenant) -> None:
    await tenant.apply(**OFTEN)
    await tenant.webhook_fault("drop", count=0)
    application = await tenant.applies("Mia", stage="Coding Assessment")
    await tenant.until_seen(application, invites=1)
    await tenant.person("submit", email=tenant.email("Mia"), final_score=91)
    await tenant.until_seen(application, notes=1, moves=1)
    await asyncio.sleep(1.5)
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 1}


async def test_a_missed_rejection_is_known_before_the_entry_counts(tenant: Tenant) -> None:
    await tenant.apply(settle_s=3.0, **OFTEN)
    application = await tenant.applies("Nils")
    await tenant.enters(application)
    await tenant.person("reject", application_id=application, silent=True)
    await asyncio.sleep(5.0)
    assert (await tenant.seen(application))["invites"] == 0
    assert any("rejected" in step["text"] for step in await tenant.steps(application))


async def test_an_old_entry_is_offered_and_a_persons_yes_invites_once(tenant: Tenant) -> None:
    await tenant.apply(**OFTEN, **{"reconcile.act_within": 0})
    await tenant.webhook_fault("drop", count=0)
    application = await tenant.applies("Olga", stage="Coding Assessment")
    async with asyncio.timeout(15):
        while not (offers := json.loads(await tenant.trellis("offers", "list", "--account", tenant.account, "--json"))):
            await asyncio.sleep(0.2)
    assert [offer["application_id"] for offer in offers] == [application]
    assert (await tenant.seen(application))["invites"] == 0
    for _ in range(2):
        await tenant.trellis("offers", "accept", str(application), "1", "--account", tenant.account)
    await tenant.until_seen(application, invites=1)
    await asyncio.sleep(1.0)
    assert (await tenant.seen(application))["invites"] == 1
    assert "nothing is offered" in await tenant.trellis("offers", "list", "--account", tenant.account)
    shown = await tenant.trellis("reconcile", "status", "--account", tenant.account)
    assert "complete at" in shown
