"""Every event of Greenhouse's and Coderbyte's becomes the right fact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from trellis.common.contracts import facts
from trellis.common.contracts.envelope import Envelope, decode, encode
from trellis.common.contracts.facts import ApplicationStatus, SignalKind, Stage
from trellis.common.contracts.identifiers import AccountId, StageId
from trellis.ingest.translation import Delivery, Rules, delivery_id, is_known, to_facts, to_signal
from trellis.ingest.webhooks import UnreadableBody, parse_coderbyte, parse_greenhouse

DATA = Path(__file__).resolve().parents[2] / "data"
DELIVERY = Delivery(
    id=UUID("01939b6e-0000-7000-8000-000000000001"),
    account=AccountId("acme"),
    received_at=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    digest="d" * 64,
)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "greenhouse" / f"{name}.json").read_text())
    return found


def translated(body: dict[str, Any], rules: Rules | None = None, delivery: Delivery = DELIVERY) -> list[Envelope]:
    return to_facts(parse_greenhouse(json.dumps(body).encode()), delivery, rules or Rules())


def only(body: dict[str, Any], rules: Rules | None = None) -> Envelope:
    [envelope] = translated(body, rules)
    return envelope


SAMPLES = {
    "candidate_stage_change": facts.ApplicationStageChanged,
    "candidate_stage_change_minimal": facts.ApplicationStageChanged,
    "new_candidate_application": facts.ApplicationCreated,
    "new_prospect_application": facts.ApplicationCreated,
    "application_updated": facts.ApplicationUpdated,
    "reject_candidate": facts.ApplicationRejected,
    "unreject_candidate": facts.ApplicationUnrejected,
    "candidate_hired": facts.ApplicationHired,
    "unhire_candidate": facts.ApplicationUnhired,
    "delete_application": facts.ApplicationDeleted,
    "update_candidate": facts.CandidateUpdated,
    "merge_candidate": facts.CandidateMerged,
    "delete_candidate": facts.CandidateDeleted,
    "candidate_anonymized": facts.CandidateAnonymized,
    "job_updated": facts.JobChanged,
    "job_deleted": facts.JobChanged,
    "job_interview_stage_deleted": facts.StageDeleted,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_event_becomes_its_fact_and_survives_the_wire(name: str) -> None:
    envelope = only(sample(name))
    assert type(envelope.data) is SAMPLES[name]
    assert decode(encode(envelope)) == envelope
    assert envelope.accountid == "acme"
    assert envelope.time == DELIVERY.received_at
    assert envelope.correlationid == str(envelope.id) == str(DELIVERY.id)


def test_a_stage_change_tells_the_new_stage_and_what_rules_need() -> None:
    envelope = only(sample("candidate_stage_change"))
    assert isinstance(envelope.data, facts.ApplicationStageChanged)
    snapshot = envelope.data.application
    assert snapshot.stage == Stage(id=StageId(7310088003), name="Coding Assessment")
    assert snapshot.status is ApplicationStatus.ACTIVE
    assert (snapshot.candidate_id, snapshot.job_id, snapshot.source_id) == (5600191003, 4120077003, 4000013003)
    assert (snapshot.department_ids, snapshot.office_ids) == ((40018003,), (40027003, 40028003))
    assert snapshot.last_activity_at == datetime(2026, 11, 20, 8, 31, 7, tzinfo=UTC)
    assert snapshot.custom_fields == {}
    assert envelope.subject == "application/6200455003"


def test_a_new_application_counts_as_entry_unless_the_account_says_otherwise() -> None:
    body = sample("new_candidate_application")
    assert only(body).data.counts_as_entry is True  # type: ignore[union-attr]
    assert only(body, Rules(new_application_is_entry=False)).data.counts_as_entry is False  # type: ignore[union-attr]


def test_a_prospect_is_in_no_stage_and_on_no_job() -> None:
    data = only(sample("new_prospect_application")).data
    assert isinstance(data, facts.ApplicationCreated)
    assert data.counts_as_entry is False
    assert data.application.prospect is True
    assert data.application.stage is None
    assert data.application.job_id is None


def test_a_hire_bears_no_status_and_is_hired_all_the_same() -> None:
    data = only(sample("candidate_hired")).data
    assert isinstance(data, facts.ApplicationHired)
    assert data.application.status is ApplicationStatus.HIRED
    assert data.application.job_id == 4120077003
    assert data.application.stage is None


def test_an_update_without_jobs_does_not_say_which_job() -> None:
    data = only(sample("application_updated")).data
    assert isinstance(data, facts.ApplicationUpdated)
    assert data.application.job_id is None


def test_ids_of_merges_deletions_and_anonymisations() -> None:
    assert only(sample("merge_candidate")).data == facts.CandidateMerged(
        candidate_id=5600208003, into_candidate_id=5600191003
    )
    assert only(sample("delete_candidate")).data == facts.CandidateDeleted(
        candidate_id=5600208003, application_ids=(6200461003, 6200462003)
    )
    assert only(sample("delete_application")).data == facts.ApplicationDeleted(
        application_id=6200461003, candidate_id=5600208003, job_id=4120077003
    )
    anonymized = only(sample("candidate_anonymized"))
    assert "candidate_stage_data" in anonymized.data.fields  # type: ignore[union-attr]
    assert anonymized.subject == "candidate/5600191003"
    assert only(sample("job_deleted")).data == facts.JobChanged(job_id=4120077003, deleted=True)
    assert only(sample("job_updated")).data == facts.JobChanged(job_id=4120077003)
    assert only(sample("job_interview_stage_deleted")).data == facts.StageDeleted(
        stage_id=7310088003, job_id=4120077003
    )


def test_only_listed_custom_fields_pass_each_from_its_own_place() -> None:
    listed = frozenset(
        [
            "assessment_score", "hourly_rate", "candidate.seniority_band", "candidate.languages",
            "candidate.needs_relocation", "candidate.notice_weeks", "candidate.referred_to", "candidate.earliest_start",
            "job.employment_type", "job.salary_range", "job.backfill", "seniority_band", "absent",
        ]
    )  # fmt: skip
    data = only(sample("candidate_stage_change"), Rules(custom_fields=listed)).data
    assert isinstance(data, facts.ApplicationStageChanged)
    assert data.application.custom_fields == {
        "assessment_score": None,
        "hourly_rate": 64,
        "candidate.seniority_band": "Band C",
        "candidate.languages": ["Rust", "Python"],
        "candidate.needs_relocation": False,
        "candidate.notice_weeks": 6,
        "candidate.referred_to": None,  # a user, with name and address
        "candidate.earliest_start": "2026-12-14",
        "job.employment_type": "Full-time",
        "job.salary_range": None,
        "job.backfill": None,
    }


@pytest.mark.parametrize("empty", [[], {}, "", None], ids=["empty list", "empty object", "empty text", "null"])
def test_empty_is_written_in_many_ways(empty: Any) -> None:
    body = sample("candidate_stage_change")
    application = body["payload"]["application"]
    for field in ("custom_fields", "jobs", "source", "prospect_detail", "credited_to"):
        application[field] = empty
    application["candidate"]["custom_fields"] = empty
    data = only(body, Rules(custom_fields=frozenset(["hourly_rate", "candidate.x"]))).data
    assert isinstance(data, facts.ApplicationStageChanged)
    assert data.application.job_id is None
    assert data.application.source_id is None
    assert data.application.custom_fields == {}


def test_words_are_trimmed_and_unknown_ones_are_unknown() -> None:
    body = sample("candidate_stage_change")
    for word, expected in (
        (" Active ", ApplicationStatus.ACTIVE),
        ("on_hold", ApplicationStatus.UNKNOWN),
        (None, None),
    ):
        body["payload"]["application"]["status"] = word
        assert only(body).data.application.status is expected  # type: ignore[union-attr]


def test_a_time_that_is_none_is_left_out_and_does_not_lose_the_fact() -> None:
    body = sample("candidate_stage_change")
    body["payload"]["application"]["last_activity_at"] = "yesterday"
    envelope = only(body)
    assert envelope.data.application.last_activity_at is None  # type: ignore[union-attr]
    assert envelope.contentkey is None


def test_the_content_key_stands_for_content_and_only_where_greenhouse_dates_it() -> None:
    body = sample("candidate_stage_change")
    key = only(body).contentkey
    assert key is not None
    again = Delivery(id=uuid4(), account=DELIVERY.account, received_at=datetime.now(UTC), digest=DELIVERY.digest)
    assert translated(body, delivery=again)[0].contentkey == key
    other = Delivery(id=DELIVERY.id, account=DELIVERY.account, received_at=DELIVERY.received_at, digest="e" * 64)
    assert translated(body, delivery=other)[0].contentkey != key
    for field, value in (("last_activity_at", "2026-11-20T08:31:08Z"), ("id", 1)):
        changed = sample("candidate_stage_change")
        changed["payload"]["application"][field] = value
        assert only(changed).contentkey != key
    for name in ("candidate_hired", "merge_candidate", "delete_application", "candidate_anonymized"):
        assert only(sample(name)).contentkey is None


def test_a_delivery_id_is_stable_and_depends_on_endpoint_event_and_body() -> None:
    endpoint, other = uuid4(), uuid4()
    same = delivery_id(endpoint, "771", "d" * 64)
    assert same == delivery_id(endpoint, "771", "d" * 64)
    assert len({same, delivery_id(other, "771", "d" * 64), delivery_id(endpoint, "772", "d" * 64)}) == 3
    assert same != delivery_id(endpoint, "771", "e" * 64)


@pytest.mark.parametrize(
    "action", ["ping", "offer_created", "scorecard_deleted", "interview_deleted", "job_created", "x"]
)
def test_actions_without_use_tell_nothing_whatever_their_payload(action: str) -> None:
    assert translated({"action": action, "payload": [1]}) == []
    assert not is_known(action)


@pytest.mark.parametrize("identity", ["x", None, 0, -1, True, 1.5, 2**63, [], {}])
def test_an_id_that_is_none_makes_the_body_unreadable_and_the_error_holds_no_value(identity: Any) -> None:
    body = {"action": "update_candidate", "payload": {"candidate": {"id": identity, "first_name": "Odessa"}}}
    with pytest.raises(UnreadableBody) as caught:
        translated(body)
    assert "Odessa" not in str(caught.value)


def signal(**fields: Any) -> facts.AssessmentSignalled:
    body = {"organization_id": "northwindhiring", "email": "a@example.com"} | fields
    parsed = parse_coderbyte(json.dumps(body).encode())
    envelope = to_signal(parsed, DELIVERY, address_hash="h" * 64, sealed_body_id=UUID(int=7))
    assert envelope.contentkey is None
    assert envelope.subject is None
    assert b"example.com" not in encode(envelope)
    assert isinstance(envelope.data, facts.AssessmentSignalled)
    return envelope.data


def test_each_operation_of_coderbytes_is_a_hint_of_its_kind() -> None:
    joined = signal(operation="candidate_joined", assessment_id="a-1")
    assert (joined.kind, joined.assessment_id, joined.report_ready) == (SignalKind.STARTED, "a-1", None)
    completed = signal(operation="assessment_completed", assessment_id="a-1", time_expired="true", report_ready=False)
    assert (completed.kind, completed.time_expired, completed.report_ready) == (SignalKind.COMPLETED, True, False)
    reviewed = signal(operation="scorecard_updated", assessment_id="a-1", comment=None, recommendation=None)
    assert reviewed.kind is SignalKind.REVIEWED
    interview = signal(operation="interview_completed", interview_id="k7Rw2LmQ9")
    assert (interview.kind, interview.interview_id, interview.assessment_id) == (
        SignalKind.INTERVIEW_COMPLETED, "k7Rw2LmQ9", None,
    )  # fmt: skip
    assert joined.sealed_body_id == UUID(int=7)
    assert joined.address_hash == "h" * 64


@pytest.mark.parametrize(("graded", "ready"), [(True, False), (False, True), ("false", True), (None, None)])
def test_the_older_spelling_of_report_ready_is_its_negation(graded: Any, ready: bool | None) -> None:
    data = signal(operation="assessment_completed", assessment_id="a-1", challenges_being_graded=graded)
    assert data.report_ready is ready


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "assessment_completed"},
        {"operation": "assessment_completed", "assessment_id": " "},
        {"operation": "interview_completed", "assessment_id": "a-1"},
    ],
)
def test_a_hint_that_names_nothing_is_unreadable(fields: dict[str, str]) -> None:
    with pytest.raises(UnreadableBody):
        signal(**fields)
