"""How an application stands, as a field's text and as notes, and what Greenhouse's answers to it mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from trellis.common.contracts.commands import ShowStanding, Standing
from trellis.common.contracts.identifiers import ApplicationId, CommandId, StageId, Visit, stable_id
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut, NeverLeft, Reply
from trellis.greenhouse_actions.domain.requests import Route
from trellis.greenhouse_actions.domain.standing import (
    LONGEST,
    Done,
    Hidden,
    NotAllowed,
    TryLater,
    classify,
    note_of,
    shown_in_notes,
    standing_request,
    text_of,
    wait_for_hidden,
)

APPLICATION = ApplicationId(6200455003)


def command(standing: Standing | None, detail: str = "", *, visit: str | None = "n1") -> ShowStanding:
    return ShowStanding(
        command_id=CommandId(stable_id("c")),
        application_id=APPLICATION,
        candidate_id=None,
        job_id=None,
        visit=None if visit is None else Visit(visit),
        stage_id=None if visit is None else StageId(7),
        standing=standing,
        detail=detail,
        ordinal=3,
    )


def test_each_standing_has_words_and_none_takes_them_back() -> None:
    assert text_of(None, "") == ""
    assert text_of(Standing.INVITED, "") == "Assessment sent"
    assert text_of(Standing.PROBLEM, "no address; add one") == "Problem: no address; add one"
    assert len({text_of(standing, "") for standing in Standing}) == len(Standing)


def test_a_text_is_cut_to_what_a_short_text_takes() -> None:
    assert LONGEST == 250
    assert text_of(Standing.PROBLEM, "x" * (LONGEST - 9)) == "Problem: " + "x" * (LONGEST - 9)
    cut = text_of(Standing.PROBLEM, "x" * 1000)
    assert len(cut) == LONGEST < 255
    assert cut.endswith("x…")


@pytest.mark.parametrize(
    ("shape", "text", "fields"),
    [
        ("list", "Problem", [{"name_key": "k", "value": "Problem"}]),
        ("list", "", [{"name_key": "k", "delete_value": "true"}]),
        ("keyed", "Problem", {"k": "Problem"}),
        ("keyed", "", {"k": None}),
    ],
)
def test_the_update_is_in_the_shape_that_the_account_says(shape: str, text: str, fields: object) -> None:
    request = standing_request(APPLICATION, "k", shape, text)
    assert (request.method, request.path, request.route) == ("PATCH", "/applications/6200455003", Route.STANDING)
    assert request.body == {"custom_fields": fields}
    assert request.route.scope == "harvest:applications:update"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Answered(status=200), Done()),
        (Answered(status=204), Done()),
        (Answered(status=404), Hidden()),
        (Answered(status=429, retry_after=timedelta(seconds=9)), TryLater(reason="Greenhouse answered 429", wait=timedelta(seconds=9))),
        (Answered(status=500), TryLater(reason="Greenhouse answered 500")),
        (Answered(status=401), TryLater(reason="Greenhouse answered 401")),
        (NeverLeft(reason="r", wait=timedelta(1)), TryLater(reason="r", wait=timedelta(1))),
        (Cut(reason="r"), TryLater(reason="r")),
    ],
)  # fmt: skip
def test_an_answer_shows_whether_it_is_there_and_when_to_try_again(reply: Reply, said: object) -> None:
    assert classify(reply, "k") == said


def test_a_no_names_what_is_missing() -> None:
    scope, field = classify(Answered(status=403), "k"), classify(Answered(status=422), "k")
    assert isinstance(scope, NotAllowed) and "harvest:applications:update" in scope.reason
    assert isinstance(field, NotAllowed) and "custom field k" in field.reason and "standing.field" in field.remedy
    assert isinstance(classify(Answered(status=400), "k"), NotAllowed)
    denied = Unauthorized(reason="not ticked", remedy="tick it")
    assert classify(Answered(status=403, denied=denied), "k") == NotAllowed(reason="not ticked", remedy="tick it")


def test_who_is_not_shown_is_looked_for_ever_more_slowly_and_then_given_up() -> None:
    waits = [wait_for_hidden(tries) for tries in range(30)]
    assert waits[0] == timedelta(seconds=30)
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known) and known[-1] == timedelta(hours=1)
    assert waits[len(known) :] == [None] * (30 - len(known))
    assert len(known) == 18
    assert timedelta(hours=6) < sum(known, timedelta()) < timedelta(days=1)


def test_only_a_problem_is_noted_and_its_end_once() -> None:
    problem = command(Standing.PROBLEM, "no address")
    first = note_of(problem, "")
    assert first is not None and first.text == "Problem: no address"
    again = note_of(problem, "")
    assert again is not None and again.command_id == first.command_id != problem.command_id
    assert note_of(command(Standing.INVITED), "") is None
    assert note_of(command(None), "") is None


def test_the_end_of_a_problem_tells_which() -> None:
    shown = shown_in_notes(command(Standing.PROBLEM, "no address"))
    solved = note_of(command(Standing.INVITED), shown)
    assert solved is not None and solved.text == "Solved. It was: Problem: no address"
    assert shown_in_notes(command(Standing.INVITED)) == ""


def test_without_a_stage_visit_nothing_is_noted() -> None:
    assert note_of(command(Standing.PROBLEM, visit=None), "") is None
    assert note_of(replace(command(Standing.PROBLEM), visit=None), "") is None
    assert note_of(replace(command(Standing.PROBLEM), stage_id=None), "") is None


def test_a_note_of_how_it_stands_comes_of_no_workflow() -> None:
    noted = note_of(command(Standing.WAITING, "found late"), "")
    assert noted is not None
    assert (noted.origin.workflow, noted.origin.version, noted.origin.rule) == ("", 0, "")
    assert note_of(command(Standing.WAITING), "Problem: no address") == replace(noted, text="Waiting for a person")


def test_only_an_answer_below_300_says_that_it_is_shown() -> None:
    assert classify(Answered(status=299), "k") == Done()
    assert isinstance(classify(Answered(status=300), "k"), TryLater)
