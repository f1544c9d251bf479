"""Records as Harvest v1 shows them.

Source: greenhouse.md section 4; sample payloads `harvest_application.json`, `_candidate`, `_job`, `_job_stages`,
`_activity_feed`, `_user`.
"""

from __future__ import annotations

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds, iso_seconds
from trellis.sandbox.greenhouse.model import Application, Candidate, Job, Note, Stage, User
from trellis.sandbox.greenhouse.state import Greenhouse

_WORDS_OF_WRITES = {"admin_only_visible": "admin_only", "privately_visible": "private", "publicly_visible": "public"}


def application_row(greenhouse: Greenhouse, application: Application) -> Json:
    """An application. `current_stage` is null for prospects and hired ones; it has no `updated_at`."""
    job = greenhouse.jobs.get(application.job_id or 0)
    stage = None if application.prospect or application.status == "hired" else application.stage
    fields = application.custom_fields
    return {
        "id": application.id,
        "candidate_id": application.candidate_id,
        "prospect": application.prospect,
        "applied_at": iso_milliseconds(application.created_at),
        "rejected_at": iso_milliseconds(application.rejected_at),
        "last_activity_at": iso_milliseconds(application.last_activity_at),
        "location": None,
        "source": application.source,
        "credited_to": None,
        "recruiter": None,
        "coordinator": None,
        "rejection_reason": application.rejection_reason,
        "rejection_details": None,
        "jobs": [{"id": job.id, "name": job.name}] if job else [],
        "job_post_id": job.post_id if job else None,
        "status": application.status,
        "current_stage": {"id": stage.id, "name": stage.name} if stage else None,
        "answers": [],
        "prospective_office": None,
        "prospective_department": None,
        "prospect_detail": {"prospect_pool": None, "prospect_stage": None, "prospect_owner": None},
        "custom_fields": {name: _plain(field) for name, field in fields.items()},
        "keyed_custom_fields": fields,
        "attachments": [],
    }


def candidate_row(greenhouse: Greenhouse, candidate: Candidate) -> Json:
    """A person, with the applications inside."""
    applications = [a for a in greenhouse.applications_of(candidate.id) if not greenhouse.is_hidden(a)]
    return {
        "id": candidate.id,
        "first_name": candidate.first_name,
        "last_name": candidate.last_name,
        "company": candidate.company,
        "title": candidate.title,
        "created_at": iso_milliseconds(candidate.created_at),
        "updated_at": iso_milliseconds(candidate.updated_at),
        "last_activity": iso_milliseconds(candidate.last_activity_at),
        "is_private": candidate.private,
        "photo_url": None,
        "attachments": candidate.attachments,
        "application_ids": [a.id for a in applications],
        "phone_numbers": candidate.phone_numbers,
        "addresses": candidate.profile.get("addresses", []),
        "email_addresses": candidate.email_addresses,
        "website_addresses": candidate.profile.get("website_addresses", []),
        "social_media_addresses": candidate.profile.get("social_media_addresses", []),
        "recruiter": None,
        "coordinator": None,
        "can_email": candidate.can_email,
        "tags": candidate.tags,
        "applications": [application_row(greenhouse, greenhouse.shown(a)[0]) for a in applications],
        "educations": [],
        "employments": [],
        "linked_user_ids": [],
        "custom_fields": {name: _plain(field) for name, field in candidate.custom_fields.items()},
        "keyed_custom_fields": candidate.custom_fields,
    }


def job_row(job: Job) -> Json:
    """A job."""
    return {
        "id": job.id,
        "name": job.name,
        "requisition_id": job.requisition_id,
        "notes": "<p>Made by the sandbox.</p>",
        "confidential": job.confidential,
        "status": job.status,
        "created_at": iso_seconds(job.created_at),
        "opened_at": iso_seconds(job.opened_at),
        "closed_at": iso_seconds(job.closed_at),
        "updated_at": iso_seconds(job.updated_at),
        "is_template": None,
        "copied_from_id": None,
        "departments": [],
        "offices": [],
        "custom_fields": {},
        "keyed_custom_fields": {},
        "openings": [],
    }


def stage_row(stage: Stage) -> Json:
    """A stage of a job's plan; an inactive one was deleted."""
    return {
        "id": stage.id,
        "name": stage.name,
        "created_at": iso_milliseconds(stage.created_at),
        "updated_at": iso_milliseconds(stage.updated_at),
        "active": stage.active,
        "job_id": stage.job_id,
        "priority": stage.sort_order,
        "interviews": [{"id": stage.interview_id, "name": stage.name, "schedulable": True}],
    }


def user_row(user: User) -> Json:
    """A user."""
    return {**_person(user), "primary_email_address": user.primary_email, "disabled": user.deactivated} | {
        "site_admin": user.site_admin,
        "created_at": iso_milliseconds(user.created_at),
        "updated_at": iso_milliseconds(user.updated_at),
        "emails": [user.primary_email] if user.primary_email else [],
    }


def note_row(greenhouse: Greenhouse, note: Note) -> Json:
    """A note of an activity feed; it names no application, and Greenhouse spells one field wrong."""
    user = greenhouse.users.get(note.user_id)
    word = _WORDS_OF_WRITES[note.visibility]
    return {
        "id": note.id,
        "created_at": iso_milliseconds(note.created_at),
        "body": note.body,
        "user": _person(user) if user else None,
        "private": word != "public",
        "visiblity": word,  # codespell:ignore
        "visibility": word,
    }


def activity_feed(greenhouse: Greenhouse, candidate: Candidate) -> Json:
    """All of a person's feed at once, newest first; lines of activities are for people."""
    notes = [note for note in greenhouse.notes.values() if note.candidate_id == candidate.id]
    lines = [line for a in greenhouse.applications_of(candidate.id) for line in greenhouse.activities.get(a.id, [])]
    return {
        "notes": [note_row(greenhouse, note) for note in sorted(notes, key=lambda note: note.id, reverse=True)],
        "emails": [],
        "activities": [
            {"id": line.id, "created_at": iso_milliseconds(line.at), "subject": None, "body": line.text, "user": None}
            for line in sorted(lines, key=lambda line: line.id, reverse=True)
        ],
    }


def _person(user: User) -> Json:
    first_name, _, last_name = user.name.partition(" ")
    return {
        "id": user.id,
        "first_name": first_name,
        "last_name": last_name,
        "name": user.name,
        "employee_id": None,
    }


def _plain(field: object) -> object:
    return field.get("value") if isinstance(field, dict) else field
