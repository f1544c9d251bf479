"""Messages on the wire, ids and markers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from trellis.common.contracts.envelope import MESSAGE_TYPES, Envelope, decode, encode
from trellis.common.contracts.facts import ApplicationSnapshot, ApplicationStageChanged, Stage
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CommandId,
    StageId,
    Visit,
    command_id,
    note_marker,
    stable_id,
)
from trellis.common.errors import PermanentError

STAGE_CHANGED = Envelope(
    id=UUID("0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3"),
    source="trellis/ingest",
    accountid=AccountId("northwind"),
    time=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    data=ApplicationStageChanged(
        application=ApplicationSnapshot(application_id=ApplicationId(6200455003), stage=Stage(id=StageId(7310088003)))
    ),
    correlationid="c1",
    subject="application/6200455003",
)


def test_an_envelope_is_a_cloud_event_and_comes_back_as_it_was() -> None:
    raw = json.loads(encode(STAGE_CHANGED))
    assert raw["specversion"] == "1.0"
    assert raw["type"] == "application.stage_changed"
    assert all(name.isalnum() and name.islower() for name in raw), "CloudEvents attribute names"
    assert decode(encode(STAGE_CHANGED)) == STAGE_CHANGED


def test_an_unknown_field_is_ignored() -> None:
    raw = json.loads(encode(STAGE_CHANGED))
    raw["data"]["new_field"] = 1
    raw["newattribute"] = "x"
    assert decode(json.dumps(raw).encode()) == STAGE_CHANGED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "application.unheard_of"}, "type: expected a known message type, not 'application.unheard_of'"),
        ({"type": "secret-person@example.com"}, "type: expected a known message type, not another text"),
        ({"dataschema": "urn:trellis:schema:application.stage_changed:v2"}, "dataschema: expected .*:v1, not .*:v2"),
        ({"dataschema": "secret-person@example.com"}, "dataschema: expected .*:v1, not another text"),
        ({"specversion": "0.3"}, "specversion: expected 1.0"),
        ({"time": "2026-11-24T09:00:00"}, "time: Input should have timezone info"),
        ({"id": "secret-person@example.com"}, "id"),
        ({"data": {"application": {"application_id": "secret-person@example.com"}}}, "application.application_id"),
        ({"data": None}, "data of application.stage_changed"),
    ],
)
def test_a_message_that_does_not_fit_says_which_field_and_never_the_value(change: dict[str, object], said: str) -> None:
    raw = json.loads(encode(STAGE_CHANGED)) | change
    with pytest.raises(PermanentError, match=said) as caught:
        decode(json.dumps(raw).encode())
    assert "secret-person" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_message_is_a_permanent_fault(body: bytes) -> None:
    with pytest.raises(PermanentError):
        decode(body)


def test_type_names_are_unique_and_each_has_a_routing_key() -> None:
    assert len(set(MESSAGE_TYPES.values())) == len(MESSAGE_TYPES)


def test_a_command_id_is_the_same_for_ever() -> None:
    """These values stand in ledgers: a change here would make every effect look new."""
    made = command_id(AccountId("northwind"), ApplicationId(6200455003), Visit("n1"), "invite", "backend")
    assert made == UUID("14d4b32e-d634-56a9-afd3-d58be0139124")
    assert made != command_id(AccountId("northwind"), ApplicationId(6200455003), Visit("n2"), "invite", "backend")


def test_parts_of_an_id_do_not_run_into_each_other() -> None:
    assert stable_id("ab", "c") != stable_id("a", "bc")


def test_a_marker_has_the_shape_of_the_fact_sheet() -> None:
    marker = note_marker(CommandId(stable_id("x")))
    assert marker.startswith("[ref tr-")
    assert len(marker) == len("[ref tr-") + 12 + 1
    assert marker.isascii()
