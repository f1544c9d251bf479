"""What is chosen, what is skipped and why, and in which order causes are shown."""

from __future__ import annotations

import pytest

from trellis.cli.parking import Row, chosen, grouped, messages_of, planned, unknown
from trellis.common.errors import InputError


def row(ident: str, *, action: str = "invite", cause: str = "no address", doubt: bool = False, since: str = "1") -> Row:
    return Row(
        id=ident,
        service="assessments",
        application_id=1,
        action=action,
        cause=cause,
        remedy="",
        in_doubt=doubt,
        since=since,
    )


A, B, C = row("a", since="3"), row("b", cause="no such assessment"), row("c", since="2")


def test_the_cause_that_most_wait_for_comes_first_and_within_it_the_oldest() -> None:
    assert grouped([A, B, C]) == [("no address", [C, A]), ("no such assessment", [B])]


def test_rows_are_chosen_by_id_by_words_of_the_cause_or_all() -> None:
    assert chosen([A, B, C], ["a", "x"], None, everything=False) == [A]
    assert chosen([A, B, C], [], "NO ADDRESS", everything=False) == [A, C]
    assert chosen([A, B, C], [], None, everything=True) == [A, B, C]
    assert unknown([A, B], ["a", "x"]) == ["x"]


@pytest.mark.parametrize(
    ("ids", "cause", "everything"), [([], None, False), (["a"], "x", False), (["a"], None, True), ([], "x", True)]
)
def test_choosing_in_no_or_two_ways_is_an_error(ids: list[str], cause: str | None, everything: bool) -> None:
    with pytest.raises(InputError, match="exactly one"):
        chosen([A], ids, cause, everything=everything)


def test_an_invite_in_doubt_is_sent_again_alone_and_never_in_bulk() -> None:
    doubtful = row("d", doubt=True)
    assert planned("redrive", [doubtful], ["d"])[0].skipped == ""
    assert "may have been sent" in planned("redrive", [doubtful], [])[0].skipped
    assert "may have been sent" in planned("redrive", [doubtful, A], ["d", "a"])[0].skipped
    assert planned("redrive", [row("m", action="move", doubt=True), A], [])[0].skipped == ""
    assert planned("drop", [doubtful, A], [])[0].skipped == ""


def test_what_surely_did_not_happen_is_not_confirmed() -> None:
    assert "did not happen" in planned("confirm", [A], ["a"])[0].skipped
    assert planned("confirm", [row("d", doubt=True)], ["d"])[0].skipped == ""


@pytest.mark.parametrize("action", ["invite", "note", "move"])
def test_each_row_says_what_it_means_for_who_waits(action: str) -> None:
    sure, doubtful = row("x", action=action).meaning, row("x", action=action, doubt=True).meaning
    assert sure and doubtful and sure != doubtful


def message(
    ident: str = "m", *, kind: str = "invite.send", subject: str | None = "application/7", deadly: bool = False
) -> Row:
    told = {
        "id": ident, "type": kind, "subject": subject, "cause": "a bug: KeyError", "remedy": "mend it", "since": "1",
        "ends_process": deadly, "attempts": 4, "redriven_count": 1,
    }  # fmt: skip
    (row,) = messages_of([told], "assessments")
    return row


def test_a_message_is_told_with_its_kind_its_subject_and_who_could_not_handle_it() -> None:
    assert message().what == "message invite.send about application 7 to assessments"
    assert message().application_id == 7
    assert (message(subject="candidate/7").what, message(subject="candidate/7").application_id) == (
        "message invite.send about candidate 7 to assessments",
        None,
    )
    assert message(kind="unknown", subject=None).what == "message unknown to assessments"
    assert message().tried == "4 times, and redriven 1 times before"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("invite.send", "no invite"),
        ("command.settled", "follows"),
        ("assessment.completed", "no result"),
        ("candidate.erased", "erasure"),
        ("address.erased", "erased"),
        ("application.stage_changed", "not known here"),
        ("unknown", "not known here"),
    ],
)
def test_each_message_says_what_it_means_for_who_waits(kind: str, words: str) -> None:
    assert words in message(kind=kind).meaning


def test_a_message_is_redriven_or_dropped_and_never_confirmed() -> None:
    assert planned("redrive", [message(), A], [])[0].skipped == ""
    assert planned("drop", [message(deadly=True), A], [])[0].skipped == ""
    assert "not confirmed" in planned("confirm", [message()], ["m"])[0].skipped


def test_what_ends_its_consumer_is_redriven_alone_and_never_in_bulk() -> None:
    assert planned("redrive", [message(deadly=True)], ["m"])[0].skipped == ""
    assert "alone" in planned("redrive", [message(deadly=True), A], [])[0].skipped
