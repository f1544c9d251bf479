"""Notes and moves against the sandbox: once, as the service user, and never against a person (P3, P4, P5)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.integration.greenhouse_actions.bench import ACME, Bench, Replica, a_move, a_note

from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId, Visit, note_marker
from trellis.common.contracts.outcomes import OutcomeState
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.invites import Asked, Invitable


async def test_a_note_is_written_once_as_the_service_user_with_its_marker_last(bench: Bench) -> None:
    person = await bench.apply()
    command = a_note(person, "Passed: 82 of 100 <b>.")
    await bench.give(command)
    assert (await bench.settle(command))[0] == "done"
    (note,) = await bench.notes()
    assert note["body"] == f"Passed: 82 of 100 &lt;b&gt;.\n{note_marker(command.command_id)}"
    assert note["user_id"] == bench.sandbox.account["greenhouse"]["service_user_id"]
    assert note["application_id"] == person["application_id"]
    assert (await bench.outcome(command)).state is OutcomeState.DONE


async def test_a_move_to_the_next_stage_is_made_once_and_read_back(bench: Bench) -> None:
    person = await bench.apply()
    command = a_move(person)
    await bench.give(command)
    assert (await bench.settle(command))[0] == "done"
    (move,) = await bench.our_moves()
    assert move["to_stage_id"] == bench.stage("Onsite")
    outcome = await bench.outcome(command)
    assert (outcome.state, outcome.to_stage_id) == (OutcomeState.DONE, bench.stage("Onsite"))


@pytest.mark.parametrize("route", ["notes.create", "move"])
@pytest.mark.parametrize(
    "kind",
    [
        "cut_before",
        "cut_after",
        "500",
        "500_after",
        "502_after",
        "429",
        "503",
        "truncated_json",
        "204_without_effect",
        "token_revoked",
    ],
)
async def test_whatever_happens_to_the_request_the_effect_is_made_once(bench: Bench, route: str, kind: str) -> None:
    person = await bench.apply()
    command = a_move(person) if route == "move" else a_note(person)
    await bench.sandbox.fault(route, kind)
    await bench.give(command)
    state, cause = await bench.settle(command)
    assert state == "done", cause
    assert len(await bench.our_moves() if route == "move" else await bench.notes()) == 1


SWITCHES = [
    ("move.from_stage_space", "application_stage"),
    ("move.from_stage_space", "either"),
    ("move.delay_visible_s", 0.3),
    ("token.single_active", False),
    ("token.expiry_field", "expires_in"),
    ("token.expiry_field", "expires_at_epoch"),
    ("filters.range_syntax", "pipe"),
    ("filters.range_syntax", "bracket"),
    ("filters.range_syntax", "bracket_ignored"),
    ("app.has_job_interview_stage_id", False),
    ("app_stages.reentry", "reuse_row"),
    ("app_stages.reentry", "null_entered_at"),
    ("note.unknown_candidate", "404"),
    ("note.body_rewrite", "trim"),
    ("note.body_rewrite", "escape_html"),
    ("rate.limit", 75),
    ("rate.limit", 10),
    ("rate.reset_style", "window_end"),
]


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answers lost"])
@pytest.mark.parametrize(("switch", "value"), SWITCHES, ids=str)
async def test_whatever_greenhouse_is_like_note_and_move_are_made_once(
    bench: Bench, switch: str, value: object, lost: bool
) -> None:
    await bench.sandbox.switch(switch, value)
    if switch == "rate.limit":
        await bench.sandbox.switch("rate.time_scale", 60)
    await bench.connect(settings={"verify.second_read_s": 0.4, "rate.share": 1.0, "rate.start_limit": 60})
    person = await bench.apply(stage="Recruiter Call")
    for stage in ("Coding Assessment", "Recruiter Call", "Coding Assessment"):  # a second visit
        await bench.sandbox.act("move", application_id=person["application_id"], stage=stage)
    person["stage_id"] = bench.stage("Coding Assessment")
    if lost:
        await bench.sandbox.fault("notes.create", "cut_after")
        await bench.sandbox.fault("move", "cut_after")
    note, move = a_note(person, "82 of 100 & <b>more</b>"), a_move(person)
    await bench.give(note)
    await bench.give(move)
    for command in (note, move):
        state, cause = await bench.settle(command, seconds=25)
        assert state == "done", cause
    assert len(await bench.notes()) == 1
    assert [m["to_stage_id"] for m in await bench.our_moves()] == [bench.stage("Onsite")]
    assert (await bench.effects())["calls_by_status"].get("429") is None


async def test_which_id_space_worked_is_remembered_on_the_connection(bench: Bench) -> None:
    await bench.sandbox.switch("move.from_stage_space", "application_stage")
    for _ in range(2):
        command = a_move(await bench.apply())
        await bench.give(command)
        assert (await bench.settle(command))[0] == "done"
    assert await bench.calls("move") == 3  # one refusal taught it
    assert (await bench.call("GET", "acme/connection"))[1]["from_stage_space"] == "application_stage"


async def test_a_move_that_greenhouse_confirms_and_does_not_make_is_sent_once_more_then_parked(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.fault("move", "204_without_effect", count=0)
    command = a_move(person)
    await bench.give(command)
    state, cause = await bench.settle(command)
    assert (state, await bench.calls("move")) == ("parked", 2), cause
    outcome = await bench.outcome(command)
    assert outcome.state is OutcomeState.PARKED and outcome.remedy


async def test_a_move_that_greenhouse_refuses_by_both_ids_is_parked(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.act("close_job")
    command = a_move(person)
    await bench.give(command)
    state, cause = await bench.settle(command)
    assert (state, await bench.calls("move")) == ("parked", 2), cause
    assert "refuses the move" in cause


async def test_a_person_who_moves_first_is_left_alone_even_between_reading_and_write(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.fault("move", "hang", seconds=0.5)
    command = a_move(person)
    await bench.give(command)
    attempt = asyncio.ensure_future(bench.pass_once())
    await asyncio.sleep(0.2)
    await bench.sandbox.act("move", application_id=person["application_id"], stage="Application Review")
    await attempt
    state, cause = await bench.settle(command)
    assert state == "superseded" and "Application Review" in cause
    assert not await bench.our_moves()


@pytest.mark.parametrize("verb", ["reject", "hire", "delete_application", "delete_candidate", "move"])
async def test_what_a_person_did_first_wins_over_note_and_move(bench: Bench, verb: str) -> None:
    person = await bench.apply()
    more = {"stage": "Onsite"} if verb == "move" else {}
    key = "candidate_id" if verb == "delete_candidate" else "application_id"
    await bench.sandbox.act(verb, **{key: person[key]}, **more)
    note, move = a_note(person), a_move(person)
    await bench.give(note)
    await bench.give(move)
    for command in (note, move):
        state, cause = await bench.settle(command)
        assert (state == "superseded" and "Greenhouse shows" in cause) or "already" in cause, cause
    assert not await bench.notes() and not await bench.our_moves()


async def test_a_note_decided_beside_our_move_is_written_after_it(bench: Bench) -> None:
    person = await bench.apply()
    move, note = a_move(person), a_note(person)
    await bench.give(move)
    assert (await bench.settle(move))[0] == "done"
    await bench.give(note)
    assert (await bench.settle(note))[0] == "done"


async def test_a_note_is_not_written_where_a_person_moved_on_after_our_move(bench: Bench) -> None:
    person = await bench.apply()
    move, note = a_move(person), a_note(person)
    await bench.give(move)
    assert (await bench.settle(move))[0] == "done"
    await bench.sandbox.act("move", application_id=person["application_id"], stage="Offer")
    await bench.give(note)
    state, cause = await bench.settle(note)
    assert state == "superseded" and "Offer" in cause


async def test_a_move_undone_by_a_person_while_its_answer_was_lost_is_not_made_again(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.fault("move", "cut_after")
    command = a_move(person)
    await bench.give(command)
    await bench.replica.runner.perform_due()
    await bench.sandbox.act("move", application_id=person["application_id"], stage="Coding Assessment")
    state, cause = await bench.settle(command)
    assert state == "superseded" and "came back" in cause
    assert len(await bench.our_moves()) == 1


async def test_a_confidential_application_is_parked_with_what_to_do(bench: Bench) -> None:
    job = await bench.sandbox.own("POST", "/jobs", {"name": "Secret", "stages": ["A", "B"], "confidential": True})
    command = a_note(await bench.apply(job=job["id"], stage="A"))
    await bench.give(command)
    state, cause = await bench.settle(command)
    assert state == "parked" and "not visible to the service user" in cause


async def test_the_last_stage_has_no_next_one(bench: Bench) -> None:
    command = a_move(await bench.apply(stage="Offer"))
    await bench.give(command)
    state, cause = await bench.settle(command)
    assert state == "parked" and "no next one" in cause


async def test_a_target_is_fixed_before_the_first_attempt(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.fault("move", "503", retry_after=1)
    command = a_move(person)
    await bench.give(command)
    await bench.pass_once()
    await bench.sandbox.act(
        "reorder_stages", order=["Application Review", "Recruiter Call", "Coding Assessment", "Offer", "Onsite"]
    )
    assert (await bench.settle(command))[0] == "done"
    assert (await bench.our_moves())[0]["to_stage_id"] == bench.stage("Onsite")


async def test_a_stage_made_since_the_plan_was_read_is_found_by_its_name(bench: Bench) -> None:
    first = a_move(await bench.apply())
    await bench.give(first)
    await bench.settle(first)
    await bench.sandbox.act("add_stage", name="Reference Check")
    command = a_move(await bench.apply(), to_stage_name="Reference Check")
    await bench.give(command)
    assert (await bench.settle(command))[0] == "done"


async def test_a_report_link_stands_where_the_text_wants_it_or_its_line_goes(bench: Bench) -> None:
    bench.links.known = {"good": "https://coderbyte.com/r/1", "evil": "https://evil.example/r", "none": None}
    for assessment in ("good", "evil", "none"):
        text = "82 of 100.\nReport: {report_link}"
        command = a_note(await bench.apply(), text, assessment_id=AssessmentId(assessment), ordinal=assessment)
        await bench.give(command)
        assert (await bench.settle(command))[0] == "done"
    lines = [note["body"].split("\n")[:-1] for note in await bench.notes()]
    assert lines == [["82 of 100.", "Report: https://coderbyte.com/r/1"], ["82 of 100."], ["82 of 100."]]


async def test_a_note_waits_while_assessments_is_away(bench: Bench) -> None:
    bench.links.away = TransientError("assessments cannot be reached", retry_after=timedelta(milliseconds=50))
    bench.links.known = {"a": "https://coderbyte.com/r/1"}
    command = a_note(await bench.apply(), "{report_link}", assessment_id=AssessmentId("a"))
    await bench.give(command)
    await bench.settle(command, lambda state, cause: "assessments cannot be reached" in cause)
    bench.links.away = None
    assert (await bench.settle(command))[0] == "done"


async def test_a_note_lost_with_an_anonymised_candidate_is_not_written_again(bench: Bench) -> None:
    person = await bench.apply()
    await bench.connect(settings={"verify.second_read_s": 1.0})
    await bench.sandbox.fault("notes.create", "cut_after")
    command = a_note(person)
    await bench.give(command)
    await bench.replica.runner.perform_due()
    await bench.sandbox.act("anonymize", candidate_id=person["candidate_id"], fields=["notes", "full_name"])
    await bench.give(CandidateAnonymized(candidate_id=person["candidate_id"], fields=("notes", "full_name")))
    state, cause = await bench.settle(command)
    assert state == "superseded" and "anonymised" in cause
    assert len(await bench.notes()) == 1


async def test_a_note_follows_its_candidate_through_a_merge(bench: Bench) -> None:
    winner, loser = await bench.apply(), await bench.apply()
    other_job = await bench.sandbox.own("POST", "/jobs", {"name": "Other", "stages": ["A", "B"]})
    moved = await bench.apply(candidate_id=loser["candidate_id"], job=other_job["id"], stage="A")
    command = a_note(moved)
    await bench.sandbox.act(
        "merge",
        winner={"candidate_id": winner["candidate_id"]},
        loser={"candidate_id": loser["candidate_id"]},
    )
    await bench.give(command)
    await bench.give(CandidateMerged(candidate_id=loser["candidate_id"], into_candidate_id=winner["candidate_id"]))
    assert await bench.column(command, "candidate_id") == winner["candidate_id"]
    assert (await bench.settle(command))[0] == "done"
    assert (await bench.notes())[0]["candidate_id"] == winner["candidate_id"]


async def test_two_replicas_at_once_make_each_effect_once(bench: Bench) -> None:
    other = bench.another_replica()
    commands = []
    for _ in range(12):
        person = await bench.apply()
        commands += [a_note(person), a_move(person)]
    for command in commands:
        await bench.give(command)

    async def work(replica: Replica) -> None:
        for _ in range(6):
            await bench.pass_once(replica)

    async with asyncio.TaskGroup() as group:
        group.create_task(work(bench.replica))
        group.create_task(work(other))
    for command in commands:
        assert (await bench.settle(command, seconds=40))[0] == "done"
    assert (len(await bench.notes()), len(await bench.our_moves())) == (12, 12)
    assert (await bench.effects())["calls"]["token"] == 1


async def test_a_command_given_twice_is_one_effect(bench: Bench) -> None:
    command = a_note(await bench.apply())
    await bench.give(command)
    await bench.give(command)
    await bench.settle(command)
    await bench.give(command)
    await bench.pass_once()
    assert len(await bench.notes()) == 1


async def test_one_flow_takes_six_calls_from_the_question_whom_to_invite_to_the_move_read_back(bench: Bench) -> None:
    """Nothing is batched with another application's; the job's plan is known from an earlier move."""
    await bench.give(earlier := a_move(await bench.apply()))
    await bench.settle(earlier)
    before = await bench.calls_by_route()
    person = await bench.apply()
    asked = Asked(
        application_id=ApplicationId(person["application_id"]), stage_id=person["stage_id"], visit=Visit("n1")
    )
    said = await bench.replica.invites.judge(ACME, [asked])
    assert isinstance(said.verdicts[asked.application_id], Invitable)
    note, move = a_note(person), a_move(person)
    for command in (note, move):
        await bench.give(command)
    assert (await bench.settle(note))[0] == (await bench.settle(move))[0] == "done"
    taken = await bench.calls_by_route() - before
    assert taken == {
        "applications.list": 3,  # whom to invite; what note and move rest on; whether the move shows
        "candidates.list": 1,  # the address
        "notes.create": 1,
        "move": 1,
    }
    assert taken.total() == 6
