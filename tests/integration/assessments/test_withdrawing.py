"""An invite that a person takes back: before it came, while it waits, when it may be out, when it is out."""

from __future__ import annotations

from tests.integration.assessments.bench import WHO, Bench
from tests.integration.assessments.inviting import invited

from trellis.assessments.withdrawing import CAME_TO_NOTHING, IS_OUT, MAY_BE_OUT, NEVER_LEFT
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import SignalKind
from trellis.common.contracts.outcomes import CommandSettled


async def said(bench: Bench) -> list[str]:
    return [item.reason for item in await bench.messages(CommandSettled) if item.action is Action.WITHDRAW]


async def test_a_withdrawal_that_overtakes_its_invite_leaves_a_tombstone_under_its_id(bench: Bench) -> None:
    await bench.connect()
    invite = bench.invite()
    await bench.take(bench.withdraw(), bench.withdraw())
    await bench.take(invite)
    await bench.run(rounds=3)
    assert await bench.state(invite) == "superseded"
    assert bench.mails() == 0
    assert await said(bench) == [NEVER_LEFT, CAME_TO_NOTHING]
    assert [item.state for item in await bench.settled() if item.action is Action.INVITE] == ["superseded"]


async def test_what_waits_goes_out_no_more(bench: Bench) -> None:
    invite = bench.invite()
    bench.gate.away = True
    await bench.take(invite)
    await bench.run()
    await bench.take(bench.withdraw())
    bench.gate.away = False
    await bench.run(rounds=3)
    assert (await bench.state(invite), bench.mails()) == ("superseded", 0)
    assert await said(bench) == [NEVER_LEFT]


async def test_what_may_be_out_is_tried_no_more_and_its_result_is_shown_only(bench: Bench) -> None:
    await bench.connect()
    bench.twin.fault("invite", "cut_after")
    invite = bench.invite()
    await bench.take(invite)
    await bench.until(lambda: bench.mails() == 1)
    await bench.take(bench.withdraw())
    assert await said(bench) == [MAY_BE_OUT]
    bench.twin.submit(WHO, invite.data.assessment_id, final_score=80)  # type: ignore[union-attr]
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(lambda: _is_kept(bench))
    assert await bench.results() == []
    assert (await bench.state(invite), bench.mails()) == ("superseded", 1)


async def _is_kept(bench: Bench) -> bool:
    return bool(await bench.fetch("select from result where not published"))


async def test_what_is_out_stays_done(bench: Bench) -> None:
    invite = await invited(bench)
    await bench.take(bench.withdraw())
    assert await said(bench) == [IS_OUT]
    assert await bench.state(invite) == "done"


async def test_a_person_may_send_again_in_a_later_visit_what_rules_would_not(bench: Bench) -> None:
    await invited(bench)
    await bench.take(bench.invite(visit="n2"))
    await bench.run(rounds=2)
    assert bench.mails() == 1
    await bench.take(bench.invite(visit="n3", workflow="by hand"))
    await bench.until(lambda: bench.mails() == 2)
