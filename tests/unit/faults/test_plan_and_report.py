"""Rounds come from the seed and pass by everything; the last line has the promised figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from faults.oracle import Counts
from faults.oracle_of_people import MECHANISMS
from faults.plan import SORTS, Fault, Plan, cases
from faults.report import Result
from faults.violations import Violation

from trellis.common.failpoints import FAILPOINTS


def drawn(seed: int, count: int = 60) -> list[tuple[Fault, ...]]:
    plan = Plan(seed, longer_than_lease=3.0)
    return [plan.next_round() for _ in range(count)]


def of_processes(faults: tuple[Fault, ...]) -> list[Fault]:
    return [one for one in faults if one.kind == "failpoint"]


def test_the_same_seed_breaks_the_same_things() -> None:
    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_every_failpoint_has_its_turn_before_one_comes_again() -> None:
    assert {name for name, _service in cases()} == set(FAILPOINTS)
    for seed in range(5):
        rounds = [of_processes(faults) for faults in drawn(seed)]
        met = [one for faults in rounds for one in faults]
        assert {one.failpoint for faults in rounds[:17] for one in faults} == set(FAILPOINTS)
        assert {(one.failpoint, one.target.partition(".")[0]) for one in met[: len(cases())]} == set(cases())


def test_every_sort_has_its_turn_before_one_comes_again() -> None:
    for seed in range(5):
        met: list[str] = []
        for faults in drawn(seed):
            met += {one.sort: None for one in faults if one.kind not in {"failpoint", "vendor"}}
        assert set(met[: len(SORTS)]) == set(SORTS)


def test_a_freeze_outlasts_the_lease_and_a_wrong_clock_is_wrong_for_more_than_service_tokens_forgive() -> None:
    faults = [one for seed in range(8) for several in drawn(seed) for one in several]
    assert min(one.seconds for one in faults if one.kind == "freeze") > 3.0
    ahead = {one.ahead for one in faults if one.kind == "clock"}
    assert min(ahead) < -90
    assert max(ahead) > 90


def test_a_round_breaks_each_kind_once_and_a_full_disk_alone() -> None:
    for faults in drawn(2, 200):
        services = [one.target.partition(".")[0] for one in of_processes(faults)]
        assert len(services) == len(set(services))
        kinds = Counter(one.kind for one in faults if one.kind not in {"kill", "failpoint"})
        assert set(kinds.values()) <= {1}
        if kinds["disk"]:
            assert set(kinds) <= {"disk", "vendor"}
            assert all(one.kind != "kill" for one in faults)


def test_a_failpoint_that_nobody_came_by_has_another_turn_at_once_but_not_for_ever() -> None:
    plan = Plan(1, longer_than_lease=3.0)
    owed = of_processes(plan.next_round())[0]
    turns = 1
    while True:
        plan.owe(owed)
        plan.next_round()
        if owed.failpoint not in {one.failpoint for one in plan.next_round()}:
            break
        turns += 1
    assert turns == 3


def result(*violations: Violation, faults: tuple[tuple[Fault, bool], ...] = ()) -> Result:
    return Result(
        seed=3,
        faults=faults,
        counts=[Counts(10, 5, 1, 0, 4), Counts(2, 1, 0, 2, 1)],
        violations=violations,
        recovery_seconds=[1.0, 7.26],
        settle_seconds=3.0,
        killed=["relay.after_claim", "relay.after_claim"],
    )


def test_the_last_line_sums_the_accounts() -> None:
    told = result(Violation("P1", "one", 7, "twice", "doubled"), Violation("P2", "one", 8, "gone", "lost")).as_json()
    names = ("deliveries", "effects", "lost", "doubled", "held", "parked", "turned_away", "seed")
    assert [told[name] for name in names] == [12, 6, 1, 1, 1, 2, 5, 3]
    assert told["longest_recovery_seconds"] == 7.3
    assert [one["promise"] for one in told["violations"]] == ["P1", "P2"]


def test_the_last_line_counts_each_mechanism_over_the_accounts_and_0_for_what_never_came() -> None:
    counts = [Counts(1, 1, 0, 0, 0, {"erased": 2, "by_hand": 1}), Counts(1, 1, 0, 0, 0, {"erased": 1})]
    told = replace(result(), counts=counts)
    assert {name: told.as_json()[name] for name in MECHANISMS} == {
        **dict.fromkeys(MECHANISMS, 0),
        "erased": 3,
        "by_hand": 1,
    }
    assert "erased 3" in told.as_text() and "secrets rotated 0" in told.as_text()


def test_the_last_line_counts_what_nobody_can_handle_by_kind() -> None:
    told = replace(result(), poison_sent=8, poison_parked={"unreadable": 2, "misfit": 1})
    names = ("poison_sent", "poison_parked", "poison_by_kind")
    assert [told.as_json()[name] for name in names] == [8, 3, {"unreadable": 2, "misfit": 1}]
    assert "poison sent 8, poison parked 3" in told.as_text()


def test_the_last_line_counts_by_sort_what_came_about_and_names_what_never_did() -> None:
    alarm = Fault(kind="broker", target="memory alarm", seconds=2)
    ahead = Fault(kind="clock", target="workflow", ahead=60)
    told = result(faults=((alarm, True), (alarm, True), (alarm, False), (ahead, False))).as_json()
    assert told["faults"] == 2
    assert told["faults_by_sort"] == {"broker memory alarm": 2}
    assert told["faults_in_vain"] == {"broker memory alarm": 1, "clock ahead": 1}
    assert set(told["faults_never"]) == set(SORTS) - {"broker memory alarm"}
    assert told["failpoints_killed"] == {"relay.after_claim": 2}
    assert set(told["failpoints_never"]) == set(FAILPOINTS) - {"relay.after_claim"}


def test_any_violation_is_a_failure_and_named() -> None:
    assert result().code == 0
    assert "every promise held" in result().as_text()
    bad = result(Violation("P4", "one", 7, "too late"))
    assert bad.code == 1
    assert "P4 one 7: too late" in bad.as_text()
