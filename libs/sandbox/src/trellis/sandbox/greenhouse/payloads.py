"""Bodies of Greenhouse's webhooks, shaped like the vendor's samples.

Times are in seconds for candidates and applications, in milliseconds for stages and scorecards.
Source: greenhouse.md sections 2.3 and 2.5; the sample payloads.
"""

from __future__ import annotations

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds, iso_seconds
from trellis.sandbox.greenhouse.model import Application, Candidate, Hook, Job, Scorecard, Stage, User
from trellis.sandbox.greenhouse.state import Greenhouse

APP_URL = "https://app.greenhouse.io"
PROFILE = ("addresses", "website_addresses", "social_media_addresses", "educations", "employments")
OTHER_SPACE = 900_000_000
"""What the switch `hook.stage_id_space` adds to the id of a stage."""


def application_payload(greenhouse: Greenhouse, application: Application) -> Json:
    """The full application object."""
    candidate = greenhouse.candidates[application.candidate_id]
    job = greenhouse.jobs.get(application.job_id or 0)
    return {
        "id": application.id,
        "rejected_at": iso_seconds(application.rejected_at),
        "prospect": application.prospect,
        "status": application.status,
        "applied_at": iso_seconds(application.created_at),
        "last_activity_at": iso_seconds(application.last_activity_at),
        "url": f"{APP_URL}/people/{candidate.id}?application_id={application.id}",
        "source": application.source,
        "credited_to": _user(greenhouse.users.get(application.recruiter_id or 0)),
        "rejection_reason": application.rejection_reason,
        "rejection_details": {"custom_fields": {}} if application.rejection_reason else None,
        "current_stage": _current_stage(greenhouse, application),
        "prospect_detail": {"prospect_pool": None, "prospect_stage": None, "prospect_owner": None},
        "custom_fields": application.custom_fields,
        "candidate": candidate_payload(greenhouse, candidate),
        "jobs": [job_payload(job)] if job else [],
    }


def hired_payload(greenhouse: Greenhouse, application: Application) -> Json:
    """The application of `hire_candidate`: without status and current stage, with offer and opening."""
    job = greenhouse.jobs.get(application.job_id or 0)
    opening = next((o for o in greenhouse.openings.values() if o.application_id == application.id), None)
    whole = application_payload(greenhouse, application)
    candidate = candidate_payload(greenhouse, greenhouse.candidates[application.candidate_id])
    offer: Json = {
        "id": greenhouse.ids.next("offer"),
        "version": 1,
        "created_at": iso_seconds(application.updated_at),
        "sent_at": application.updated_at.strftime("%Y-%m-%d"),
        "resolved_at": iso_seconds(application.updated_at),
        "starts_at": None,
        "custom_fields": {},
    }
    return {
        "id": application.id,
        "opening": {"opening_id": opening.opening_id, "custom_fields": []} if opening else None,
        "credited_to": whole["credited_to"],
        "source": application.source,
        "url": whole["url"],
        "candidate": _without(candidate, _NOT_WHEN_HIRED),
        "job": _old_job(job) if job else None,
        "jobs": [_without(job_payload(job), _NOT_IN_HIRED_JOBS)] if job else [],
        "custom_fields": application.custom_fields,
        "offer": offer,
    }


def updated_candidate_payload(greenhouse: Greenhouse, candidate: Candidate) -> Json:
    """The root of `update_candidate`; in the vendor's sample it does not say whether mail is allowed."""
    return _without(candidate_payload(greenhouse, candidate), ("is_private", "can_email"))


def candidate_payload(greenhouse: Greenhouse, candidate: Candidate) -> Json:
    """The candidate inside an application."""
    latest = greenhouse.applications_of(candidate.id)[-1:]
    recruiter = _user(greenhouse.users.get(latest[0].recruiter_id or 0)) if latest else None
    return {
        "id": candidate.id,
        "first_name": candidate.first_name,
        "last_name": candidate.last_name,
        "title": candidate.title,
        "company": candidate.company,
        "created_at": iso_seconds(candidate.created_at),
        "external_id": None,
        "photo_url": None,
        "url": f"{APP_URL}/people/{candidate.id}",
        "is_private": candidate.private,
        "can_email": candidate.can_email,
        "phone_numbers": candidate.phone_numbers,
        "email_addresses": candidate.email_addresses,
        **{name: candidate.profile.get(name, []) for name in PROFILE},
        "recruiter": recruiter,
        "coordinator": recruiter,
        "attachments": candidate.attachments,
        "tags": candidate.tags,
        "custom_fields": candidate.custom_fields,
    }


def person_payload(candidate: Candidate) -> Json:
    """The `person` of merge and delete events, without addresses."""
    return {
        "id": candidate.id,
        "first_name": candidate.first_name,
        "last_name": candidate.last_name,
        "company": candidate.company,
        "title": candidate.title,
        "created_at": iso_seconds(candidate.created_at),
        "headline": None,
        "is_private": candidate.private,
        "recruiter_user_id": None,
        "coordinator_user_id": None,
        "can_email": candidate.can_email,
    }


def deleted_application_payload(application: Application) -> Json:
    """The root of `delete_application`."""
    return {
        "id": application.id,
        "candidate_id": application.candidate_id,
        "job_id": application.job_id,
        "created_at": iso_seconds(application.created_at),
        "source_id": application.source["id"] if application.source else None,
        "candidate_rejection_reason_id": None,
        "rejection_note_id": None,
        "rejected_at": iso_seconds(application.rejected_at),
        "referrer_id": None,
        "prospect": application.prospect,
        "rejected_by_user_id": None,
    }


def job_payload(job: Job) -> Json:
    """A job as applications and `job_updated` carry it."""
    return {
        "id": job.id,
        "name": job.name,
        "requisition_id": job.requisition_id,
        "notes": "<p>Made by the sandbox.</p>",
        "confidential": job.confidential,
        "job_post_id": job.post_id,
        "status": job.status,
        "created_by_id": None,
        "created_at": iso_seconds(job.created_at),
        "opened_at": iso_seconds(job.opened_at),
        "closed_at": iso_seconds(job.closed_at),
        "departments": [{"id": job.department_id, "name": "Engineering", "external_id": None}],
        "offices": [
            {"id": office, "name": "Remote", "location": None, "external_id": None} for office in job.office_ids
        ],
        "custom_fields": {
            "employment_type": {"name": "Employment Type", "type": "single_select", "value": "Full-time"}
        },
    }


def stage_payload(stage: Stage) -> Json:
    """The root of `job_interview_stage_deleted`; `active` is true, as in the vendor's sample."""
    return {
        "id": stage.id,
        "job_id": stage.job_id,
        "created_at": iso_milliseconds(stage.created_at),
        "updated_at": iso_milliseconds(stage.updated_at),
        "name": stage.name,
        "active": True,
    }


def scorecard_payload(scorecard: Scorecard, candidate_id: int) -> Json:
    """The root of `scorecard_deleted`."""
    return {
        "id": scorecard.id,
        "candidate_id": candidate_id,
        "interviewed_at": iso_milliseconds(scorecard.created_at),
        "created_at": iso_milliseconds(scorecard.created_at),
        "updated_at": iso_milliseconds(scorecard.updated_at),
        "scorecard_status": scorecard.status,
    }


def ping_payload(hook: Hook) -> Json:
    """The payload of a ping."""
    return {
        "web_hook_id": hook.id,
        "endpoint_url": hook.url,
        "created_at": iso_seconds(hook.created_at),
        "updated_at": iso_seconds(hook.updated_at),
        "name": hook.name,
        "event": hook.event.replace("_", " ").title(),
        "active": hook.enabled,
        "content-type": "application/json",
    }


def _current_stage(greenhouse: Greenhouse, application: Application) -> Json | None:
    stage = application.stage
    if stage is None or application.status == "hired":
        return None
    shift = OTHER_SPACE if greenhouse.switches.text("hook.stage_id_space") == "other" else 0
    people = f"people/{application.candidate_id}?application_id={application.id}"
    interview: Json = {
        "id": stage.interview_id,
        "name": stage.name,
        "status": "to_be_scheduled",
        "interview_kit": {
            "url": f"{APP_URL}/guides/{stage.kit_id}/{people}",
            "content": "<p>Look at tests & error handling.</p>",
            "questions": [],
        },
        "interviewers": [],
    }
    return {"id": stage.id + shift, "name": stage.name, "interviews": [interview]}


_NOT_WHEN_HIRED = (
    "company",
    "created_at",
    "photo_url",
    "website_addresses",
    "social_media_addresses",
    "tags",
)
_NOT_IN_HIRED_JOBS = ("notes", "job_post_id", "status", "created_by_id", "created_at")


def _without(payload: Json, names: tuple[str, ...]) -> Json:
    return {name: value for name, value in payload.items() if name not in names}


def _old_job(job: Job) -> Json:
    whole = job_payload(job)
    kept = ("id", "name", "requisition_id", "departments", "offices", "custom_fields")
    return {
        **{name: whole[name] for name in kept},
        "open_date": whole["opened_at"],
        "close_date": whole["closed_at"],
    }


def _user(user: User | None) -> Json | None:
    if user is None:
        return None
    return {"id": user.id, "email": user.primary_email, "name": user.name, "employee_id": None}
