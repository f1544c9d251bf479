"""Histories meet everything that can be met; what they cannot is named with its reason."""

from __future__ import annotations

from simulation.coverage import EXCEPTED, THINGS, Met, report, told
from simulation.history import play

SEEDS = 400


def test_some_hundred_histories_meet_every_transition_message_and_failpoint_but_those_that_are_excepted() -> None:
    met = Met()
    for seed in range(SEEDS):
        met += play(seed).met
    shown = report(met)
    never = {name for kind in THINGS for name in shown["never"][kind]}
    assert never - set(EXCEPTED) == set()
    assert shown["never"]["faults"] == []


def test_no_exception_is_of_something_that_does_not_exist() -> None:
    assert set(EXCEPTED) <= {name for names in THINGS.values() for name in names}
    assert all(EXCEPTED.values())


def test_the_report_tells_what_was_met_beside_which_fault_and_what_never_was() -> None:
    shown = report(Met({("note.add", 1): 2, ("note.add", 0): 1, ("crash", 0): 1}))
    assert shown["messages"] == {"note.add": {"met": 3, "with": {"crash": 2}}}
    assert "invite.send" in shown["never"]["messages"]
    assert "  never met: invite.send" in list(told(shown))
