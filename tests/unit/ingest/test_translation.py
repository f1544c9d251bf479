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
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, StageId
from trellis.ingest.translation import Delivery, Rules, application_of, delivery_id, is_known, to_facts, to_signal
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


@pytest.mark.parametrize("identity", ["5700191003", " 5700191003 ", 5700191003.0])
def test_an_id_written_as_text_or_fraction_is_the_number(identity: Any) -> None:
    [envelope] = translated({"action": "update_candidate", "payload": {"candidate": {"id": identity}}})
    assert envelope.data == facts.CandidateUpdated(candidate_id=CandidateId(5700191003))


def test_a_fault_is_told_with_its_field_and_what_was_expected() -> None:
    with pytest.raises(UnreadableBody) as caught:
        translated({"action": "update_candidate", "payload": {"candidate": {"id": "Odessa"}}})
    assert str(caught.value) == "wrong_shape: payload.candidate.id: Expected `int`, got `str`"


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


def test_what_every_fact_bears_is_pinned_since_other_services_and_the_database_keep_it() -> None:
    envelope = only(sample("candidate_stage_change"))
    assert envelope.source == "trellis/ingest"
    assert delivery_id(UUID(int=1), "4711", "d" * 64) == UUID("c545cb30-b443-582c-87a5-279b2044569d")
    assert envelope.contentkey == "cb68bd91596a84cbc53d6db452f076c0c0e088414be978cdcf8e274b3b8c57ff"
    body = sample("candidate_stage_change")
    body["payload"]["application"]["current_stage"] = None
    assert only(body).contentkey == "d4fff84946d647b4a92bdc1c119d5c46959f31d5a78ab59a55246c1eafdc7ddf"


def test_an_application_tells_when_it_was_made_and_rejected() -> None:
    body = sample("reject_candidate")
    body["payload"]["application"] |= {"applied_at": "2026-11-01T00:00:00Z", "rejected_at": "2026-11-02T00:00:00Z"}
    data = only(body).data
    assert isinstance(data, facts.ApplicationRejected)
    assert data.application.applied_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert data.application.rejected_at == datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("jobs", "job", "expected"),
    [([1], None, 1), ([1, 2], None, None), ([1, 2], 3, 3), (None, 3, 3), ([], 3, 3), ([1], 3, 1)],
)
def test_the_job_is_the_only_one_named_or_the_one_that_is_named_alone(
    jobs: list[int] | None, job: int | None, expected: int | None
) -> None:
    body = sample("candidate_stage_change")
    application = body["payload"]["application"]
    application["jobs"] = None if jobs is None else [{"id": one} for one in jobs]
    application["job"] = None if job is None else {"id": job}
    data = only(body).data
    assert isinstance(data, facts.ApplicationStageChanged)
    assert data.application.job_id == expected


def test_known_actions_are_told_from_others_by_a_truth() -> None:
    assert is_known("candidate_stage_change") is True
    assert is_known("nothing_of_the_kind") is False


def signalled(**fields: object) -> facts.AssessmentSignalled:
    body = {"organization_id": "o", "email": "p@example.com", "operation": "assessment_completed", "assessment_id": "t"}
    parsed = parse_coderbyte(json.dumps(body | fields).encode())
    data = to_signal(parsed, DELIVERY, address_hash="h", sealed_body_id=UUID(int=2)).data
    assert isinstance(data, facts.AssessmentSignalled)
    return data


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assessment_id": ""}, "wrong_shape: assessment_id: expected text"),
        ({"operation": "interview_completed", "interview_id": ""}, "wrong_shape: interview_id: expected text"),
        ({"operation": "unheard_of"}, "wrong_shape: operation: expected one that is known"),
    ],
)
def test_a_signal_of_nothing_says_what_is_missing(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        signalled(**fields)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("ready", "graded", "told"),
    [(True, True, True), (False, False, False), (None, True, False), (None, False, True), (None, None, None)],
)
def test_a_report_is_ready_as_it_says_or_else_when_nothing_is_being_graded(
    ready: bool | None, graded: bool | None, told: bool | None
) -> None:
    fields = {"report_ready": ready, "challenges_being_graded": graded}
    assert signalled(**{name: value for name, value in fields.items() if value is not None}).report_ready is told


def test_an_empty_interview_is_none() -> None:
    assert signalled(interview_id="").interview_id is None


def test_a_fact_about_an_application_names_it() -> None:
    assert application_of(facts.ApplicationDeleted(application_id=ApplicationId(5))) == 5
    assert application_of(facts.CandidateUpdated(candidate_id=CandidateId(5))) is None


def test_a_prospect_is_one_whatever_the_body_says() -> None:
    body = sample("new_prospect_application")
    body["payload"]["application"]["prospect"] = False
    data = only(body).data
    assert isinstance(data, facts.ApplicationCreated)
    assert data.application.prospect is True
    assert data.counts_as_entry is False


def test_a_new_application_without_a_stage_is_no_entry() -> None:
    body = sample("new_candidate_application")
    body["payload"]["application"]["current_stage"] = None
    assert only(body).data.counts_as_entry is False  # type: ignore[union-attr]
    body["payload"]["application"]["prospect"] = True
    assert only(body).data.counts_as_entry is False  # type: ignore[union-attr]


@pytest.mark.parametrize(("value", "told"), [("  ", None), (["a", 1], None), ([" a "], ["a"]), (" b", "b")])
def test_a_custom_field_is_text_or_texts_without_the_blanks_around(value: object, told: object) -> None:
    body = sample("candidate_stage_change")
    body["payload"]["application"]["custom_fields"] = {"x": {"value": value}}
    data = only(body, Rules(custom_fields=frozenset({"x"}))).data
    assert isinstance(data, facts.ApplicationStageChanged)
    assert data.application.custom_fields == {"x": told}
