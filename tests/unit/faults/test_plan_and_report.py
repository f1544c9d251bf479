"""Rounds come from the seed alone and pass by every failpoint; the last line has the promised figures."""

from __future__ import annotations

from itertools import islice

from faults.oracle import Counts, Violation
from faults.plan import Fault, cases, rounds
from faults.report import Result

from trellis.common.failpoints import FAILPOINTS


def drawn(seed: int, count: int = 60) -> list[tuple[Fault, ...]]:
    return list(islice(rounds(seed, longer_than_lease=3.0), count))


def test_the_same_seed_breaks_the_same_things() -> None:
    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_every_failpoint_has_its_turn() -> None:
    assert {name for name, _service in cases()} == set(FAILPOINTS)
    met = {(one.failpoint, one.target.partition(".")[0]) for faults in drawn(1) for one in faults if one.failpoint}
    assert met == set(cases())


def test_every_kind_of_fault_is_drawn_and_a_freeze_outlasts_the_lease() -> None:
    faults = [one for seed in range(8) for several in drawn(seed) for one in several]
    assert {one.kind for one in faults} == {"kill", "freeze", "failpoint", "broker", "database", "vendor"}
    assert all(one.seconds > 3.0 for one in faults if one.kind == "freeze")


def test_no_two_failpoints_of_a_round_are_in_one_service() -> None:
    for faults in drawn(2):
        services = [one.target.partition(".")[0] for one in faults if one.failpoint]
        assert len(services) == len(set(services))


def result(*violations: Violation) -> Result:
    return Result(
        seed=3,
        faults=4,
        counts=[Counts(10, 5, 1, 0), Counts(2, 1, 0, 2)],
        violations=violations,
        recovery_seconds=[1.0, 7.26],
        settle_seconds=3.0,
        reached=["a x"],
        missed=["b y"],
    )


def test_the_last_line_sums_the_accounts() -> None:
    told = result(Violation("P1", "one", 7, "twice", "doubled"), Violation("P2", "one", 8, "gone", "lost")).as_json()
    figures = {name: told[name] for name in ("deliveries", "faults", "effects", "lost", "doubled", "held", "parked")}
    assert figures == {"deliveries": 12, "faults": 4, "effects": 6, "lost": 1, "doubled": 1, "held": 1, "parked": 2}
    assert told["longest_recovery_seconds"] == 7.3
    assert told["seed"] == 3
    assert [one["promise"] for one in told["violations"]] == ["P1", "P2"]


def test_any_violation_is_a_failure_and_named() -> None:
    assert result().code == 0
    assert "every promise held" in result().as_text()
    bad = result(Violation("P4", "one", 7, "too late"))
    assert bad.code == 1
    assert "P4 one 7: too late" in bad.as_text()
