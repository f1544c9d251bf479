"""Histories meet everything that can be met; what they cannot is named with its reason."""

from __future__ import annotations

from simulation.coverage import EXCEPTED, FAULTS, THINGS, Met, report, told, unmet


def test_no_exception_is_of_something_that_does_not_exist() -> None:
    assert set(EXCEPTED) <= {name for names in THINGS.values() for name in names}
    assert all(EXCEPTED.values())


def test_the_report_tells_what_was_met_beside_which_fault_and_what_never_was() -> None:
    shown = report(Met({("note.add", 1): 2, ("note.add", 0): 1, ("crash", 0): 1}))
    assert shown["messages"] == {"note.add": {"met": 3, "with": {"crash": 2}}}
    assert "invite.send" in shown["never"]["messages"]
    assert "  never met: invite.send" in list(told(shown))


def test_what_is_not_excepted_must_be_met_faults_too() -> None:
    everything = [name for names in THINGS.values() for name in names] + list(FAULTS)
    met = Met({(name, 0): 1 for name in everything if name not in EXCEPTED})
    assert unmet(met) == set()
    assert unmet(met - Met({("note.add", 0): 1, ("crash", 0): 1})) == {"note.add", "crash"}
