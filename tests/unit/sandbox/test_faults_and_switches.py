from __future__ import annotations

import pytest

from trellis.sandbox.bodies import Body, ControlError
from trellis.sandbox.faults import FaultQueue, call_fault, webhook_fault
from trellis.sandbox.switches import SWITCHES, Switches


def queue(*faults: dict[str, object]) -> FaultQueue:
    made = FaultQueue()
    for fault in faults:
        made.add(call_fault(Body(fault)))
    return made


def kinds(faults: FaultQueue, route: str, calls: int) -> list[str | None]:
    taken = [faults.take(route) for _ in range(calls)]
    return [fault.kind if fault else None for fault in taken]


def test_fault_hits_the_nth_call_and_as_many_as_it_counts() -> None:
    faults = queue({"route": "invite", "kind": "500", "nth": 2, "count": 2})
    assert kinds(faults, "invite", 5) == [None, "500", "500", None, None]


def test_fault_waits_for_its_own_route() -> None:
    faults = queue({"route": "move", "kind": "hang"})
    assert kinds(faults, "invite", 2) == [None, None]
    assert kinds(faults, "move", 1) == ["hang"]


def test_two_faults_for_one_call_follow_each_other() -> None:
    faults = queue({"route": "move", "kind": "500"}, {"route": "move", "kind": "cut_after"})
    assert kinds(faults, "move", 3) == ["500", "cut_after", None]


def test_count_zero_is_for_ever_and_patterns_match_several_routes() -> None:
    faults = queue({"route": "*.list", "kind": "502", "count": 0})
    assert kinds(faults, "notes.list", 9) == ["502"] * 9
    assert kinds(faults, "notes.create", 1) == [None]


@pytest.mark.parametrize(
    "fault", [{"route": "nowhere", "kind": "500"}, {"route": "move", "kind": "explode"}, {"kind": "500"}]
)
def test_unknown_route_or_kind_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ControlError):
        call_fault(Body(fault))


def test_webhook_fault_can_belong_to_one_vendor() -> None:
    faults = FaultQueue()
    faults.add(webhook_fault(Body({"kind": "drop", "vendor": "coderbyte"})))
    assert faults.take("candidate_joined", "greenhouse") is None
    assert faults.take("candidate_joined", "coderbyte") is not None


def test_first_value_of_a_switch_is_its_default() -> None:
    assert Switches().positions() == {name: switch.values[0] for name, switch in SWITCHES.items()}


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_every_value_of_every_switch_can_be_set_and_put_back(name: str) -> None:
    switches = Switches()
    for value in SWITCHES[name].values:
        switches.set(name, value)
        assert switches.positions()[name] == value
        switches.set(name, str(value) if not SWITCHES[name].any_number else value)
    switches.set(name, None)
    assert switches.positions()[name] == SWITCHES[name].values[0]


@pytest.mark.parametrize(
    ("name", "value"), [("move.stale_code", 418), ("hook.timeout_s", "soon"), ("hook.timeout_s", -1), ("nope", 1)]
)
def test_unknown_switch_or_value_is_refused(name: str, value: object) -> None:
    with pytest.raises(ControlError):
        Switches().set(name, value)
