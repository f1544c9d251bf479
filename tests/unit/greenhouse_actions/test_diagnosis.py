"""What is wrong with a Greenhouse connection, from what a look saw; the cause and not what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.greenhouse_actions.given import CODING, JOB, plan

from trellis.common.contracts.identifiers import JobId, StageId, UserId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.ledger.brakes import Brake, Scope
from trellis.common.setup.connections import PauseSeen
from trellis.greenhouse_actions.domain.diagnosis import (
    PERMISSIONS,
    ProgressSeen,
    RateSeen,
    Seen,
    Signed,
    UserSeen,
    of_connection,
)
from trellis.greenhouse_actions.domain.naming import Named, meant, named_jobs, named_stages, of_names
from trellis.greenhouse_actions.domain.standing import NotAllowed

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LISTS = frozenset(name for name in PERMISSIONS if name.endswith(":list"))
PAUSE = PauseSeen(reason="no", remedy="ask")


def seen(**more: Any) -> Seen:
    fields: dict[str, Any] = {
        "account": "acme",
        "now": NOW,
        "acting": UserId(7),
        "share": 0.6,
        "user": UserSeen(active=True, site_admin=True),
        "asked_user": True,
        "permissions": frozenset(PERMISSIONS),
        "rate": RateSeen(limit=150, remaining=100),
        "skew": timedelta(seconds=1),
        "progress": ProgressSeen(completed_at=NOW, since=NOW, interval=timedelta(minutes=10), cause=""),
    }
    return Seen(**(fields | more))


def told(**more: Any) -> list[tuple[str, str]]:
    return [(finding.check, finding.subject) for finding in of_connection(seen(**more))]


def late(age: timedelta, *, completed: bool = True, interval: timedelta = timedelta(minutes=10)) -> ProgressSeen:
    at = NOW - age
    return ProgressSeen(completed_at=at if completed else None, since=at, interval=interval, cause="away")


def test_a_whole_connection_has_no_fault() -> None:
    assert told() == []


def test_a_vendor_that_is_asked_nothing_is_named_unless_the_look_found_it_away() -> None:
    until = NOW + timedelta(minutes=4)
    (finding,) = of_connection(seen(held_until=until))
    assert (finding.check, finding.subject) == ("breaker-open", "greenhouse")
    assert "asked nothing until 12:04:00 UTC" in finding.fault
    assert told(held_until=until, signed=Signed(away="cut")) == [("vendor-away", "greenhouse")]
    assert told(held_until=until, user=UserSeen(active=False, site_admin=True))[-1] == ("breaker-open", "greenhouse")


@pytest.mark.parametrize("name", PERMISSIONS)
def test_each_missing_permission_is_told_by_name_with_its_own_meaning(name: str) -> None:
    (finding,) = of_connection(seen(permissions=frozenset(PERMISSIONS) - {name}))
    assert (finding.check, finding.subject) == ("permission-missing", f"harvest:{name}")
    assert finding.meaning == PERMISSIONS[name]


def test_where_nobody_tells_the_permissions_the_refused_lists_are_told() -> None:
    assert told(permissions=None, refused=frozenset({"notes:list"})) == [("permission-missing", "harvest:notes:list")]
    assert told(permissions=None) == []


def test_a_subject_that_is_refused_what_it_is_permitted_lost_site_admin() -> None:
    refused = {"user": None, "asked_user": False, "refused": frozenset({"users:list"})}
    assert told(**refused) == [("site-admin-lost", "greenhouse")]
    assert told(**(refused | {"permissions": None, "refused": LISTS})) == [("site-admin-lost", "greenhouse")]


@pytest.mark.parametrize("acting", [None, UserId(7)])
def test_a_subject_that_sees_nothing_lost_site_admin(acting: UserId | None) -> None:
    assert told(acting=acting, user=None, blind=True) == [("site-admin-lost", "greenhouse")]


@pytest.mark.parametrize(
    ("more", "check"),
    [
        ({"user": UserSeen(active=True, site_admin=True)}, "credential-rejected"),
        ({"user": UserSeen(active=False, site_admin=True)}, "service-user-disabled"),
        ({"user": None, "asked_user": True}, "service-user-unknown"),
        ({"user": None, "asked_user": False}, "credential-rejected"),
    ],
)
def test_a_refused_sign_in_is_told_by_the_service_user_where_it_is_the_cause(more: dict[str, Any], check: str) -> None:
    assert told(signed=Signed(refused=PAUSE), permissions=None, **more) == [(check, "greenhouse")]


def test_a_user_that_signed_in_and_is_not_listed_is_no_unknown_user() -> None:
    assert told(user=None, asked_user=True) == []


def test_without_credential_or_answer_nothing_else_is_told_but_brakes() -> None:
    brake = Brake(scope=Scope.ACCOUNT, name="", reason="a mistake", by="me", since=NOW - timedelta(days=2))
    more = {"brakes": [brake], "pause": PAUSE, "skew": timedelta(hours=1), "permissions": frozenset()}
    assert told(opens=False, **more) == [("credential-unreadable", "greenhouse"), ("brake-on", "account")]
    assert told(signed=Signed(away="cut"), **more) == [("vendor-away", "greenhouse"), ("brake-on", "account")]


@pytest.mark.parametrize("sign", [1, -1])
def test_clocks_are_apart_beyond_half_a_minute(sign: int) -> None:
    assert told(skew=sign * timedelta(seconds=30)) == []
    assert told(skew=sign * timedelta(seconds=31)) == [("clock-skew", "greenhouse")]
    assert told(skew=None) == []


def test_the_rate_is_shared_when_less_than_half_of_the_others_part_is_left() -> None:
    assert told(rate=RateSeen(limit=150, remaining=30)) == []
    assert told(rate=RateSeen(limit=150, remaining=29)) == [("rate-shared", "greenhouse")]
    assert told(rate=RateSeen(limit=150, remaining=100, refused=True)) == [("rate-shared", "greenhouse")]
    assert told(rate=None) == []


def test_the_reconciler_is_late_after_three_intervals_and_ten_minutes_at_least() -> None:
    assert told(progress=late(timedelta(minutes=30))) == []
    assert told(progress=late(timedelta(minutes=31))) == [("reconciler-late", "greenhouse")]
    assert told(progress=late(timedelta(minutes=31), completed=False)) == [("reconciler-late", "greenhouse")]
    assert told(progress=late(timedelta(minutes=10), interval=timedelta(seconds=1))) == []
    assert told(progress=late(timedelta(minutes=11), interval=timedelta(seconds=1))) == [
        ("reconciler-late", "greenhouse")
    ]


def test_a_pause_is_told_when_nothing_else_explains_it_and_explains_a_late_reconciler() -> None:
    behind = late(timedelta(days=1))
    assert told(pause=PAUSE, progress=behind) == [("connection-paused", "greenhouse")]
    lacking = frozenset(PERMISSIONS) - {"notes:create"}
    assert told(pause=PAUSE, progress=behind, permissions=lacking) == [("permission-missing", "harvest:notes:create")]


def test_a_custom_field_that_cannot_be_written_is_told_when_nothing_else_is_wrong() -> None:
    no = NotAllowed(reason="applications have no custom field trellis_standing", remedy="make it")
    (finding,) = of_connection(seen(not_shown=no))
    assert (finding.check, finding.fault, finding.remedy) == ("standing-not-shown", no.reason, no.remedy)
    assert told(pause=PAUSE, not_shown=no) == [("connection-paused", "greenhouse")]


# -- names


def document(**more: Any) -> WorkflowDocument:
    rules = [
        {
            "name": "send",
            "when": {"stage_entered": {"stage": ["Coding", "Onsite"]}},
            "if": {"all": [{"stage": "Coding"}, {"not": {"any": [{"stage": [CODING]}, {"qualified": True}]}}]},
            "then": [{"send_assessment": "a"}, {"move": "next"}, {"move": "Offer"}],
        }
    ]
    return WorkflowDocument.model_validate({"name": "w", "rules": rules} | more)


def named(stage: int | str, *jobs: int) -> Named:
    return Named(workflow="w/r", jobs=frozenset(map(JobId, jobs)) if jobs else None, stage=stage)


def test_every_place_where_a_workflow_names_a_stage_is_found() -> None:
    found = named_stages([document(jobs=[JOB])])
    assert [item.stage for item in found] == ["Coding", "Onsite", "Coding", CODING, "Offer"]
    assert {(item.workflow, item.jobs) for item in found} == {("w/send", frozenset({JOB}))}


def test_the_jobs_are_every_job_as_soon_as_one_workflow_applies_to_any() -> None:
    assert named_jobs([document(jobs=[1]), document(jobs=[2, 1])]) == {1, 2}
    assert named_jobs([document(jobs=[1]), document()]) is None
    assert named_jobs([]) == frozenset()


@pytest.mark.parametrize(
    ("stage", "remembered", "check"),
    [
        ("Coding", {}, None),
        (CODING, {}, None),
        ("Recruiter Call", {"Recruiter Call": frozenset({CODING})}, None),
        ("Old Name", {"Old Name": frozenset({CODING})}, "stage-renamed"),
        ("Old Name", {"Old Name": frozenset({StageId(1)})}, "stage-deleted"),
        ("Onsite", {}, "stage-deleted"),
        ("Never", {}, "stage-unknown"),
        (1, {}, "stage-unknown"),
    ],
)
def test_a_stage_is_there_renamed_deleted_or_unknown(
    stage: int | str, remembered: dict[str, frozenset[StageId]], check: str | None
) -> None:
    onsite = next(item.id for item in plan() if item.name == "Onsite")
    found = of_names([named(stage)], None, plan(inactive=(onsite,)), remembered)
    assert [finding.check for finding in found] == ([] if check is None else [check])


def test_a_stage_of_another_job_is_unknown_and_one_name_is_told_once() -> None:
    other = [*plan(), *(item for item in plan())]
    assert [f.check for f in of_names([named("Coding", 5)], frozenset({JobId(5)}), other, {})] == ["job-unknown"]
    found = of_names([named("Nope"), named("Nope")], None, plan(), {})
    assert [(finding.check, finding.subject) for finding in found] == [("stage-unknown", "Nope")]


def test_a_lost_job_beside_one_that_is_there_leaves_the_names_to_be_checked() -> None:
    found = of_names([named("Nope", JOB, 5)], frozenset({JOB, JobId(5)}), plan(), {})
    assert [(finding.check, finding.subject) for finding in found] == [("job-unknown", "5"), ("stage-unknown", "Nope")]


def test_what_a_name_means_is_every_active_stage_that_bears_it() -> None:
    assert meant([named("Coding"), named(CODING)], plan()) == {("Coding", CODING)}
    assert meant([named("Coding")], plan(inactive=(CODING,))) == set()
