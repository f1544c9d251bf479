"""Notes and moves against the sandbox: once, as the service user, and never against a person (P3, P4, P5)."""

from __future__ import annotations

import pytest
from tests.integration.greenhouse_actions.bench import Bench, a_move, a_note

from trellis.common.contracts.identifiers import note_marker
from trellis.common.contracts.outcomes import OutcomeState


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
