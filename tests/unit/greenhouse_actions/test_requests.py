"""The exact requests, and what may stand in a note (fact sheet, 6.2, 6.3, 7.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.greenhouse_actions.given import (
    APPLICATION,
    CANDIDATE,
    CODING,
    COMMAND,
    ONSITE,
    ROW,
    SERVICE_USER,
    move,
    note,
    shown,
    written,
)

from trellis.common.contracts.identifiers import note_marker
from trellis.greenhouse_actions.domain.effects import is_our_note
from trellis.greenhouse_actions.domain.requests import (
    FromSpace,
    NoteStyle,
    allowed_link,
    move_request,
    note_body,
    note_request,
)

MARKER = note_marker(COMMAND)
HOSTS = ("coderbyte.com",)


@pytest.mark.parametrize(
    ("space", "from_id"), [(FromSpace.JOB_INTERVIEW_STAGE, CODING), (FromSpace.APPLICATION_STAGE, ROW)]
)
def test_a_move_names_the_stage_it_leaves_and_a_fixed_target(space: FromSpace, from_id: int) -> None:
    request = move_request(move(), shown(), ONSITE, space)
    assert request is not None
    assert request.path == f"/applications/{APPLICATION}/move"
    assert request.body == {"from_stage_id": from_id, "to_stage_id": ONSITE}


def test_a_move_by_row_needs_a_row() -> None:
    assert move_request(move(), shown(row_id=None), ONSITE, FromSpace.APPLICATION_STAGE) is None


def test_a_note_bears_application_author_and_marker() -> None:
    request = note_request(note(), CANDIDATE, SERVICE_USER, NoteStyle(visibility="private"), None)
    assert request.body == {
        "candidate_id": CANDIDATE,
        "application_id": APPLICATION,
        "user_id": SERVICE_USER,
        "visibility": "private",
        "note_type": "NOTE",
        "body": f"82 of 100, qualified.\n{MARKER}",
    }
    assert "user_id" not in note_request(note(), CANDIDATE, None, NoteStyle(), None).body


@pytest.mark.parametrize(
    ("text", "link", "body"),
    [
        ("a <b> & c", None, "a &lt;b&gt; &amp; c"),
        (
            "a\nReport: {report_link}\nb",
            "https://coderbyte.com/r?a=1&b=2",
            "a\nReport: https://coderbyte.com/r?a=1&b=2\nb",
        ),
        ("a\nReport: {report_link}\nb", None, "a\nb"),
        ("a\r\nb\r\n\n", None, "a\nb"),
        ("", None, ""),
    ],
)
def test_the_text_of_a_note(text: str, link: str | None, body: str) -> None:
    assert note_body(text, MARKER, NoteStyle(), link) == (f"{body}\n{MARKER}" if body else MARKER)


def test_markup_is_left_alone_where_the_account_says_so() -> None:
    assert note_body("a <b>", MARKER, NoteStyle(escape_markup=False), None) == f"a <b>\n{MARKER}"


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("<>&\n "), max_size=400),
    st.integers(100, 300),
)
def test_a_note_never_exceeds_its_length_and_is_always_found_again(text: str, most: int) -> None:
    body = note_body(text, MARKER, NoteStyle(most_characters=most), None)
    assert len(body) <= most
    assert body.endswith(MARKER)
    assert is_our_note(written(body), note(), SERVICE_USER)
    assert is_our_note(written(body.strip()), note(), SERVICE_USER)


def test_a_long_note_is_cut_outside_of_an_escaped_sign() -> None:
    body = note_body("<" * 100, MARKER, NoteStyle(most_characters=101), None)
    text, _, marker = body.rpartition("\n")
    assert len(body) <= 101
    assert marker == MARKER and text.endswith("…") and set(text[:-1].split("&lt;")) == {""}


@pytest.mark.parametrize(
    "link",
    [
        "https://coderbyte.com/report/1",
        "https://www.coderbyte.com/report/1?x=1&y=2",
        "https://coderbyte.com:443/r",
    ],
)
def test_a_link_to_the_vendor_is_put_in(link: str) -> None:
    assert allowed_link(link, HOSTS) == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        "http://coderbyte.com/report/1",
        "https://coderbyte.com.evil.example/",
        "https://evilcoderbyte.com/",
        "https://evil.example/?coderbyte.com",
        "https://coderbyte.com@evil.example/",
        "https://user@coderbyte.com/",
        "https://coderbyte.com/<b>",
        "https://coderbyte.com/a b",
        "https://coderbyte.com/\n[ref tr-000000000000]",
        "https://coderbyte.com:99999/",
        "https://coderbyte.com:8443/",
        "javascript:alert(1)//coderbyte.com",
        "https://coderbyte.com/ünï",
        "https://coderbyte.com/" + "a" * 3000,
    ],
)
def test_any_other_link_is_left_out(link: str | None) -> None:
    assert allowed_link(link, HOSTS) is None


def test_a_sandboxs_link_is_allowed_by_host_and_port() -> None:
    assert allowed_link("http://127.0.0.1:8099/r", (*HOSTS, "127.0.0.1:8099")) is not None
    assert allowed_link("http://127.0.0.1:8098/r", (*HOSTS, "127.0.0.1:8099")) is None


@pytest.mark.parametrize("text", ["a" * 1000, "a\n" * 500, "a" * 90 + "\nb", "&" * 50])
def test_a_long_note_leaves_room_for_its_marker(text: str) -> None:
    body = note_body(text, MARKER, NoteStyle(most_characters=100), None)
    assert len(body) <= 100 and body.endswith(f"…\n{MARKER}")
