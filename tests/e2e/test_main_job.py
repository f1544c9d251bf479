"""The promise to the user: a signed webhook ends in one invite, one note, one move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.e2e.conftest import Tenant


async def test_somebody_who_passes_is_invited_noted_and_moved_exactly_once(tenant: Tenant) -> None:
    application = await tenant.applies("Ana")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.person("join", email=tenant.email("Ana"))
    await tenant.person("submit", email=tenant.email("Ana"), final_score=82)
    await tenant.until_seen(application, notes=1, moves=1)
    await asyncio.sleep(1.0)
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 1}
    (note,) = (await tenant.effects())["notes"]
    assert "82 of 100, qualified" in note["body"]
    assert note["body"].splitlines()[-1].startswith("[ref tr-")
    assert await tenant.outcomes(application) == {"invite": "done", "note": "done", "move": "done"}
    assert "0 different" in await tenant.trellis("redecide", str(application), "--account", tenant.account)


async def test_one_webhook_delivered_many_times_under_old_and_new_ids_is_one_invite(tenant: Tenant) -> None:
    application = await tenant.applies("Ben")
    await tenant.enters(application)
    for event_id in ("same", "new", "new"):
        await tenant.call("POST", "/resend_webhook", {"account": tenant.account, "event_id": event_id})
    await tenant.until_seen(application, invites=1)
    await asyncio.sleep(1.5)
    assert (await tenant.seen(application))["invites"] == 1


async def test_a_failing_result_is_noted_and_not_moved(tenant: Tenant) -> None:
    application = await tenant.applies("Cem")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.person("submit", email=tenant.email("Cem"), final_score=12)
    await tenant.until_seen(application, notes=1)
    await asyncio.sleep(1.0)
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 0}


async def test_a_report_that_is_not_ready_is_waited_for(tenant: Tenant) -> None:
    application = await tenant.applies("Dua")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.person("submit", email=tenant.email("Dua"), final_score=90, not_ready_reads=2)
    await tenant.until_seen(application, notes=1, moves=1)


async def test_a_lost_completed_webhook_is_made_up_for_by_polling(tenant: Tenant) -> None:
    application = await tenant.applies("Eva")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.webhook_fault("drop", event="assessment_completed", count=0)
    await tenant.webhook_fault("drop", vendor="coderbyte", count=0)
    await tenant.person("submit", email=tenant.email("Eva"), final_score=90)
    await tenant.until_seen(application, notes=1, moves=1)


async def test_missing_address_is_parked_and_an_added_one_mends_it(tenant: Tenant) -> None:
    application = await tenant.applies("Fay", emails=[])
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "parked")
    await tenant.person("edit_email", application_id=application, emails=[tenant.email("Fay")])
    await tenant.until_seen(application, invites=1)


async def test_recruiters_see_in_greenhouse_that_a_person_is_needed_until_it_is_mended(
    new_tenant: Callable[[], Tenant],
) -> None:
    tenant = new_tenant()
    await tenant.open(**{"standing.delay": 0})
    await tenant.person("grant_scope", scope="applications:update")
    await tenant.person("define_field", key="trellis_standing")
    application = await tenant.applies("Flo", emails=[], stage="Coding Assessment")

    async def shows(text: str) -> bool:
        written = [field["value"] for field in (await tenant.effects())["fields"]]
        return bool(written) and written[-1].startswith(text)

    problem = "Problem: the invite: the candidate has no e-mail address"
    await tenant.until(lambda: shows(problem), "the problem is shown", application=application)
    await tenant.person("edit_email", application_id=application, emails=[tenant.email("Flo")])
    await tenant.until(lambda: shows("Assessment sent"), "the invite is shown", application=application)
    assert await tenant.seen(application) == {"invites": 1, "notes": 0, "moves": 0}


async def test_the_recruiter_wins_when_the_webhook_of_her_move_was_lost(tenant: Tenant) -> None:
    application = await tenant.applies("Gil")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.enters(application, "Onsite", silent=True)
    await tenant.person("submit", email=tenant.email("Gil"), final_score=90)
    await tenant.until_outcome(application, "move", "superseded")
    await tenant.until_outcome(application, "note", "superseded")
    assert await tenant.seen(application) == {"invites": 1, "notes": 0, "moves": 0}


async def test_rejected_while_the_brake_was_on_is_not_invited_when_it_goes_off(tenant: Tenant) -> None:
    await tenant.trellis("brake", "on", "--account", tenant.account, "--reason", "test")
    rejected, staying = await tenant.applies("Hal"), await tenant.applies("Ida")
    await tenant.enters(rejected)
    await tenant.enters(staying)
    await tenant.until_outcome(rejected, "invite", "waiting")
    await tenant.person("reject", application_id=rejected, silent=True)
    await asyncio.sleep(1.0)
    assert not (await tenant.effects())["invites"]
    await tenant.trellis("brake", "off", "--account", tenant.account)
    await tenant.until_seen(staying, invites=1)
    await tenant.until_outcome(rejected, "invite", "superseded")
    assert (await tenant.seen(rejected))["invites"] == 0


async def test_an_invite_whose_answer_was_lost_is_held_and_settled_by_what_the_candidate_does(tenant: Tenant) -> None:
    await tenant.fault("invite", "cut_after")
    application = await tenant.applies("Jon")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "parked")
    await tenant.person("join", email=tenant.email("Jon"))
    await tenant.until_outcome(application, "invite", "done")
    await tenant.person("submit", email=tenant.email("Jon"), final_score=99)
    await tenant.until_seen(application, notes=1, moves=1)
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 1}


async def test_a_rejected_credential_pauses_and_mended_it_goes_on_by_itself(tenant: Tenant) -> None:
    await tenant.person("revoke_scope", scope="applications:list")
    application = await tenant.applies("Kai")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "waiting")
    await asyncio.sleep(1.5)
    assert (await tenant.seen(application))["invites"] == 0
    steps = await tenant.steps(application)
    assert any("applications:list" in (step["reason"] or "") for step in steps), [s["text"] for s in steps]
    await tenant.person("grant_scope", scope="applications:list")
    await tenant.until_seen(application, invites=1)
