"""Which stage a move goes to (fact sheet, 7.4 and section 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.greenhouse_actions.given import CALL, CODING, OFFER, ONSITE, REVIEW, move, plan

from trellis.common.contracts.identifiers import StageId
from trellis.common.ledger.effects import Blocked
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.domain.stages import choose_target, knows


@pytest.mark.parametrize(
    ("command", "inactive", "target"),
    [
        (move(), (), ONSITE),
        (move(), (ONSITE,), OFFER),
        (move(), (CODING,), ONSITE),
        (move(from_stage_id=REVIEW), (), CALL),
        (move(to_stage_id=OFFER), (), OFFER),
        (move(to_stage_name="Offer"), (), OFFER),
        (move(to_stage_name=" offer "), (), OFFER),
    ],
)
def test_the_target_is(command: Any, inactive: tuple[StageId, ...], target: StageId) -> None:
    chosen = choose_target(command, {}, list(reversed(plan(inactive=inactive))))
    assert isinstance(chosen, JobStage) and chosen.id == target


@pytest.mark.parametrize(
    ("command", "inactive"),
    [
        (move(from_stage_id=OFFER), ()),
        (move(), (ONSITE, OFFER)),
        (move(from_stage_id=StageId(1)), ()),
        (move(to_stage_id=OFFER), (OFFER,)),
        (move(to_stage_id=StageId(1)), ()),
        (move(to_stage_name="Offers"), ()),
        (move(to_stage_name="Offer"), (OFFER,)),
    ],
    ids=["last", "all later deleted", "from unknown", "target deleted", "target unknown", "no name", "name deleted"],
)
def test_without_a_target_a_person_is_told_what_to_do(command: Any, inactive: tuple[StageId, ...]) -> None:
    said = choose_target(command, {}, plan(inactive=inactive))
    assert isinstance(said, Blocked) and said.reason and said.remedy


def test_a_name_borne_twice_among_active_stages_is_no_target() -> None:
    twice = [replace(stage, name="Offer") if stage.id == ONSITE else stage for stage in plan()]
    assert isinstance(choose_target(move(to_stage_name="Offer"), {}, twice), Blocked)
    deleted = [replace(stage, active=stage.id != ONSITE) for stage in twice]
    chosen = choose_target(move(to_stage_name="Offer"), {}, deleted)
    assert isinstance(chosen, JobStage) and chosen.id == OFFER


def test_what_was_fixed_before_wins_over_a_changed_order() -> None:
    chosen = choose_target(move(), {"to_stage_id": int(OFFER)}, plan())
    assert isinstance(chosen, JobStage) and chosen.id == OFFER


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (move(), True),
        (move(from_stage_id=StageId(1)), False),
        (move(to_stage_id=StageId(1)), False),
        (move(to_stage_name="New"), False),
    ],
)
def test_a_plan_that_lacks_what_a_command_names_is_read_anew(command: Any, known: bool) -> None:
    assert knows(plan(), command, {}) is known
    assert not knows(plan(), command, {"to_stage_id": 1})
