"""Records as Harvest v3 shows them.

Source: greenhouse.md sections 6.1, 6.3 and 6.4; sample payloads `harvest_v3_*.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.greenhouse.model import (
    Application,
    Candidate,
    Interview,
    Job,
    Note,
    Opening,
    Scorecard,
    Stage,
    StageRow,
    User,
)
from trellis.sandbox.greenhouse.state import Greenhouse

STATUS_WORDS = {"active": "in_process"}


def _times(created_at: datetime, updated_at: datetime) -> Json:
    return {"created_at": iso_milliseconds(created_at), "updated_at": iso_milliseconds(updated_at)}


def application_row(greenhouse: Greenhouse, application: Application) -> Json:
    """A row of `/applications`. Stage ids are null for prospects and ended ones."""
    running = application.status == "active"
    stage = application.stage
    job = greenhouse.jobs.get(application.job_id or 0)
    row: Json = {
        "id": application.id,
        **_times(application.created_at, application.updated_at),
        "candidate_id": application.candidate_id,
        "job_id": application.job_id,
        "job_post_id": job.post_id if job else None,
        "recruiter_id": application.recruiter_id,
        "coordinator_id": None,
        "referrer_id": None,
        "source_id": application.source["id"] if application.source else None,
        "rejection_reason_id": application.rejection_reason["id"] if application.rejection_reason else None,
        "stage_id": application.row_id if running else None,
        "job_interview_stage_id": stage.id if stage and running else None,
        "stage_name": stage.name if stage else None,
        "status": STATUS_WORDS.get(application.status, application.status),
        "needs_decision": False,
        "prospect": application.prospect,
        "rejected_at": iso_milliseconds(application.rejected_at),
        "last_activity_at": iso_milliseconds(application.last_activity_at),
        "location_address": None,
        "answers": [],
        "prospective_job_ids": [],
        "agency_note_id": None,
        "custom_fields": application.custom_fields,
    }
    if not greenhouse.switches.flag("app.has_job_interview_stage_id"):
        del row["job_interview_stage_id"]
    return row


def stage_row_rows(greenhouse: Greenhouse, rows: Sequence[StageRow]) -> list[Json]:
    """Rows of `/application_stages`."""
    now = greenhouse.clock.now()
    return [
        {
            "id": row.id,
            "application_id": row.application_id,
            "job_interview_stage_id": row.job_interview_stage_id,
            "entered_at": iso_milliseconds(row.entered_at),
            "exited_at": iso_milliseconds(row.exited_at),
            "days_in_stage": ((row.exited_at or now) - row.entered_at).days if row.entered_at else None,
            "current": row.current,
            **_times(row.created_at, row.updated_at),
        }
        for row in rows
    ]


def stage_row(stage: Stage) -> Json:
    """A row of `/job_interview_stages`."""
    return {
        "id": stage.id,
        "job_id": stage.job_id,
        "name": stage.name,
        "sort_order": stage.sort_order,
        "active": stage.active,
        **_times(stage.created_at, stage.updated_at),
    }


def job_interview_row(stage: Stage) -> Json:
    """A row of `/job_interviews`: each stage plans one interview."""
    return {
        "id": stage.interview_id,
        "job_interview_stage_id": stage.id,
        "name": stage.name,
        "require_scorecard": False,
        "interview_kit_id": stage.kit_id,
        **_times(stage.created_at, stage.updated_at),
    }


def candidate_row(candidate: Candidate) -> Json:
    """A row of `/candidates`."""
    return {
        "id": candidate.id,
        **_times(candidate.created_at, candidate.updated_at),
        "first_name": candidate.first_name,
        "last_name": candidate.last_name,
        "preferred_name": None,
        "company": candidate.company,
        "title": candidate.title,
        "private": candidate.private,
        "can_email": candidate.can_email,
        "time_zone": None,
        "last_activity_at": iso_milliseconds(candidate.last_activity_at),
        "email_addresses": candidate.email_addresses,
        "phone_numbers": candidate.phone_numbers,
        "addresses": candidate.profile.get("addresses", []),
        "website_addresses": candidate.profile.get("website_addresses", []),
        "social_media_addresses": candidate.profile.get("social_media_addresses", []),
        "linked_user_ids": [],
        "tags": candidate.tags,
        "custom_fields": candidate.custom_fields,
    }


def job_row(job: Job) -> Json:
    """A row of `/jobs`."""
    return {
        "id": job.id,
        "name": job.name,
        "requisition_id": job.requisition_id,
        "notes": "<p>Made by the sandbox.</p>",
        "confidential": job.confidential,
        **_times(job.created_at, job.updated_at),
        "is_template": None,
        "copied_from_id": None,
        "opened_at": iso_milliseconds(job.opened_at),
        "closed_at": iso_milliseconds(job.closed_at),
        "status": job.status,
        "office_ids": job.office_ids,
        "department_id": job.department_id,
        "custom_fields": {},
    }


def opening_row(opening: Opening) -> Json:
    """A row of `/openings`."""
    return {
        "id": opening.id,
        **_times(opening.created_at, opening.updated_at),
        "job_id": opening.job_id,
        "opening_id": opening.opening_id,
        "open": opening.open,
        "opened_at": iso_milliseconds(opening.created_at),
        "closed_at": iso_milliseconds(opening.closed_at),
        "target_start_on": None,
        "application_id": opening.application_id,
        "close_reason_id": None,
        "sort_order": 0,
        "custom_fields": {},
    }


def job_post_row(job: Job) -> Json:
    """A row of `/job_posts`: each job has one, live while the job is open."""
    return {
        "id": job.post_id,
        **_times(job.created_at, job.updated_at),
        "title": job.name,
        "job_id": job.id,
        "job_board_id": None,
        "active": True,
        "live": job.status == "open",
        "internal": False,
        "featured": False,
        "first_published_at": iso_milliseconds(job.created_at),
        "language": "en",
        "public_url": f"https://jobs.example/sandbox/{job.post_id}",
        "content": "<p>Made by the sandbox.</p>",
        "internal_content": None,
        "demographic_question_set_id": None,
        "questions": [],
    }


def user_row(user: User) -> Json:
    """A row of `/users`. A service account has no `primary_email`."""
    first_name, _, last_name = user.name.partition(" ")
    row: Json = {
        "id": user.id,
        **_times(user.created_at, user.updated_at),
        "first_name": first_name,
        "last_name": last_name,
        "name": user.name,
        "job_title": None,
        "primary_email": user.primary_email,
        "emails": [user.primary_email] if user.primary_email else [],
        "deactivated": user.deactivated,
        "site_admin": user.site_admin,
        "agency_id": None,
        "employee_id": None,
        "linked_candidate_ids": [],
        "office_ids": [],
        "department_ids": [],
        "interviewer_tags": [],
        "custom_fields": {},
    }
    if user.service_account:
        del row["primary_email"]
    return row


def note_row(note: Note) -> Json:
    """A row of `/notes`; also the answer of a new note."""
    return {
        "id": note.id,
        **_times(note.created_at, note.created_at),
        "candidate_id": note.candidate_id,
        "application_id": note.application_id,
        "user_id": note.user_id,
        "type": note.type,
        "visibility": note.visibility,
        "subject": note.subject,
        "body": note.body,
        "body_with_tags": None,
        "email_from": note.email_from,
        "email_to": note.email_to,
        "email_cc": note.email_cc,
        "email_attachment_file_names": None,
        "import_hash": None,
    }


def scorecard_row(scorecard: Scorecard) -> Json:
    """A row of `/scorecards`."""
    return {
        "id": scorecard.id,
        **_times(scorecard.created_at, scorecard.updated_at),
        "application_id": scorecard.application_id,
        "interview_kit_id": scorecard.interview_kit_id,
        "interviewer_id": scorecard.interviewer_id,
        "submitter_id": scorecard.submitter_id,
        "status": scorecard.status,
        "candidate_rating": scorecard.candidate_rating,
        "interviewed_at": iso_milliseconds(scorecard.created_at),
        "submitted_at": iso_milliseconds(scorecard.submitted_at),
        "notes": scorecard.notes,
        "notes_with_tags": None,
        "private_notes": None,
        "private_notes_with_tags": None,
        "public_notes": None,
        "public_notes_with_tags": None,
    }


def interview_row(interview: Interview) -> Json:
    """A row of `/interviews`."""
    return {
        "id": interview.id,
        **_times(interview.created_at, interview.updated_at),
        "job_id": interview.job_id,
        "application_id": interview.application_id,
        "job_interview_id": interview.job_interview_id,
        "organizer_id": interview.organizer_id,
        "status": interview.status,
        "starts_at": iso_milliseconds(interview.starts_at),
        "ends_at": iso_milliseconds(interview.ends_at),
        "all_day_start_on": None,
        "all_day_end_on": None,
        "availability_received_at": None,
        "scheduled_at": iso_milliseconds(interview.created_at),
        "location": None,
        "video_conferencing_url": None,
        "external_event_id": None,
    }


def interviewer_row(greenhouse: Greenhouse, interview: Interview) -> Json:
    """A row of `/interviewers`: each interview has one."""
    user = greenhouse.users.get(interview.interviewer_id)
    return {
        "id": interview.interviewer_row_id,
        **_times(interview.created_at, interview.updated_at),
        "interview_id": interview.id,
        "user_id": interview.interviewer_id,
        "email": user.primary_email if user else None,
        "response_status": "accepted",
        "scorecard_id": interview.scorecard_id,
    }
