"""The list routes of Harvest v3 as a table: path, scope, parameters, and where the rows come from.

Source: greenhouse.md section 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trellis.sandbox.bodies import Json
from trellis.sandbox.greenhouse import rows
from trellis.sandbox.greenhouse.filters import Filters, Predicate, Query
from trellis.sandbox.greenhouse.model import Application
from trellis.sandbox.greenhouse.state import Greenhouse

NOTE_TYPES = [
    "NOTE",
    "ACTIVITY",
    "INTERVIEW",
    "EMAIL",
    "FOLLOW_UP",
    "TAKE_HOME_TEST",
    "OFFER",
    "REFERENCE_CHECK",
    "REJECTION",
    "SCORECARD",
    "TASK",
    "SMS",
    "OTHER",
]
VISIBILITY = {
    "admin_only": "admin_only_visible",
    "private": "privately_visible",
    "public": "publicly_visible",
}
"""Words of writes and of reads. Source: greenhouse.md section 6.3."""
INTERVIEW_STATUS = [
    "to_be_scheduled",
    "scheduled",
    "awaiting_feedback",
    "complete",
    "skipped",
    "collect_feedback",
    "to_be_sent",
    "sent",
    "received",
]


@dataclass(frozen=True)
class ListRoute:
    """One list."""

    resource: str
    """Path below the base, and the resource in the scope `harvest:<resource>:list`."""
    source: Callable[[Greenhouse, Query], Iterable[Json]]
    filters: Filters


def _same(words: Iterable[str]) -> dict[str, str]:
    return {word: word for word in words}


def _chosen(greenhouse: Greenhouse, query: Query, parameter: str) -> Iterable[Application]:
    """The visible applications that *parameter* names, or all of them."""
    wanted = query.ids.get(parameter)
    if wanted is None:
        candidates = greenhouse.applications.values()
        return [a for a in candidates if not greenhouse.is_hidden(a)]
    found = (greenhouse.applications.get(i) for i in dict.fromkeys(wanted))
    return [a for a in found if a is not None and not greenhouse.is_hidden(a)]


def _applications(greenhouse: Greenhouse, query: Query) -> Iterable[Json]:
    for application in _chosen(greenhouse, query, "ids"):
        yield rows.application_row(greenhouse, greenhouse.shown(application)[0])


def _application_stages(greenhouse: Greenhouse, query: Query) -> Iterable[Json]:
    for application in _chosen(greenhouse, query, "application_ids"):
        yield from rows.stage_row_rows(greenhouse, greenhouse.shown(application)[1])


def _notes(greenhouse: Greenhouse, query: Query) -> Iterable[Json]:
    wanted = query.ids.get("application_ids")
    if wanted is None:
        return [rows.note_row(note) for note in greenhouse.notes.values()]
    return [rows.note_row(n) for i in dict.fromkeys(wanted) for n in greenhouse.notes_of.get(i, [])]


def _candidates(greenhouse: Greenhouse, query: Query) -> Iterable[Json]:
    wanted = query.ids.get("ids")
    if wanted is None:
        return [rows.candidate_row(c) for c in greenhouse.candidates.values()]
    found = (greenhouse.candidates.get(i) for i in dict.fromkeys(wanted))
    return [rows.candidate_row(c) for c in found if c is not None]


def _users(greenhouse: Greenhouse, query: Query) -> Iterable[Json]:
    all_of_them = query.options.get("show_service_accounts", False)
    users = greenhouse.users.values()
    return [rows.user_row(user) for user in users if all_of_them or not user.service_account]


def _visible_jobs(greenhouse: Greenhouse, _query: Query) -> Iterable[Json]:
    return [rows.job_row(job) for job in greenhouse.jobs.values() if not job.confidential]


def _job_posts(greenhouse: Greenhouse, _query: Query) -> Iterable[Json]:
    return [rows.job_post_row(job) for job in greenhouse.jobs.values() if not job.confidential]


def _openings(greenhouse: Greenhouse, _query: Query) -> Iterable[Json]:
    hidden = {job.id for job in greenhouse.jobs.values() if job.confidential}
    return [rows.opening_row(o) for o in greenhouse.openings.values() if o.job_id not in hidden]


def _has_email(value: str) -> Predicate:
    wanted = value.strip().lower()

    def check(row: Json) -> bool:
        addresses = row.get("email_addresses")
        return isinstance(addresses, list) and any(a["value"].strip().lower() == wanted for a in addresses)

    return check


def _has_tag(value: str) -> Predicate:
    def check(row: Json) -> bool:
        tags = row.get("tags")
        return isinstance(tags, list) and value in tags

    return check


LISTS = (
    ListRoute(
        "applications",
        _applications,
        Filters(
            ids={
                "candidate_ids": "candidate_id",
                "job_ids": "job_id",
                "job_post_ids": "job_post_id",
                "stage_ids": "stage_id",
            },
            flags={"prospect": "prospect"},
            texts={"stage_name": "stage_name"},
            words={
                "status": (
                    "status",
                    {"active": "in_process", "rejected": "rejected", "hired": "hired", "converted": "converted"},
                )
            },
            ranges=("last_activity_at",),
        ),
    ),
    ListRoute(
        "application_stages",
        _application_stages,
        Filters(
            ids={
                "application_ids": "application_id",
                "job_interview_stage_ids": "job_interview_stage_id",
            },
            flags={"current": "current"},
        ),
    ),
    ListRoute(
        "job_interview_stages",
        lambda greenhouse, _query: [rows.stage_row(s) for s in greenhouse.stages.values()],
        Filters(ids={"job_ids": "job_id"}, flags={"active": "active"}),
    ),
    ListRoute(
        "job_interviews",
        lambda greenhouse, _query: [rows.job_interview_row(s) for s in greenhouse.stages.values()],
        Filters(ids={"job_interview_stage_ids": "job_interview_stage_id"}),
    ),
    ListRoute(
        "candidates",
        _candidates,
        Filters(flags={"private": "private"}, special={"email": _has_email, "tag": _has_tag}),
    ),
    ListRoute(
        "jobs",
        _visible_jobs,
        Filters(
            id={"department_id": "department_id"},
            words={"status": ("status", _same(("open", "closed", "draft")))},
            special={"office_id": lambda value: lambda row: value in _digits(row.get("office_ids"))},
        ),
    ),
    ListRoute(
        "openings",
        _openings,
        Filters(ids={"job_ids": "job_id", "application_ids": "application_id"}, flags={"open": "open"}),
    ),
    ListRoute(
        "job_posts",
        _job_posts,
        Filters(ids={"job_ids": "job_id"}, flags={"active": "active", "live": "live", "internal": "internal"}),
    ),
    ListRoute(
        "users",
        _users,
        Filters(
            texts={"primary_email": "primary_email"},
            flags={"deactivated": "deactivated"},
            options=("show_service_accounts",),
        ),
    ),
    ListRoute(
        "notes",
        _notes,
        Filters(
            ids={
                "candidate_ids": "candidate_id",
                "application_ids": "application_id",
                "user_ids": "user_id",
            },
            words={
                "type": ("type", _same(NOTE_TYPES)),
                "visibility": ("visibility", _same(VISIBILITY.values())),
            },
        ),
    ),
    ListRoute(
        "scorecards",
        lambda greenhouse, _query: [rows.scorecard_row(s) for s in greenhouse.scorecards.values()],
        Filters(
            ids={
                "application_ids": "application_id",
                "interviewer_ids": "interviewer_id",
                "submitter_ids": "submitter_id",
            },
            words={"status": ("status", _same(("draft", "complete")))},
            ranges=("submitted_at",),
        ),
    ),
    ListRoute(
        "interviews",
        lambda greenhouse, _query: [rows.interview_row(i) for i in greenhouse.interviews.values()],
        Filters(
            ids={
                "application_ids": "application_id",
                "job_ids": "job_id",
                "job_interview_ids": "job_interview_id",
            },
            words={"status": ("status", _same(INTERVIEW_STATUS))},
            ranges=("starts_at",),
        ),
    ),
    ListRoute(
        "interviewers",
        lambda greenhouse, _query: [rows.interviewer_row(greenhouse, i) for i in greenhouse.interviews.values()],
        Filters(ids={"interview_ids": "interview_id", "scorecard_ids": "scorecard_id"}),
    ),
)


def _digits(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
