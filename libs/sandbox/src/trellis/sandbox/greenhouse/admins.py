"""What administrators and interviewers do in Greenhouse: stages, jobs, credentials, scorecards, interviews.

Source: greenhouse.md sections 2.3 and 9 (drivers).
"""

from __future__ import annotations

from datetime import timedelta

from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.greenhouse.auth import revoke_all
from trellis.sandbox.greenhouse.hooks import fire, fire_ping
from trellis.sandbox.greenhouse.model import Credential, Interview, Scorecard, User
from trellis.sandbox.greenhouse.payloads import job_payload, scorecard_payload, stage_payload
from trellis.sandbox.greenhouse.updates import define_field
from trellis.sandbox.people import Verb, find_application, find_job, find_stage
from trellis.sandbox.world import Account


def rename_stage(account: Account, body: Body) -> Json:
    """Rename `stage` of `job` to `name`; no webhook exists for it."""
    stage = find_stage(account, body, find_job(account, body).id)
    stage.name, stage.updated_at = body.text("name"), account.greenhouse.clock.now()
    return {"stage_id": stage.id, "name": stage.name}


def reorder_stages(account: Account, body: Body) -> Json:
    """Put the stages of `job` into the order of `order` (ids or names); no webhook exists for it."""
    job = find_job(account, body)
    for position, wanted in enumerate(body.items("order") or []):
        stage = find_stage(account, Body({"stage": wanted}), job.id)
        stage.sort_order, stage.updated_at = position, account.greenhouse.clock.now()
    return {"job_id": job.id, "stages": [s.id for s in account.greenhouse.plan(job.id)]}


def add_stage(account: Account, body: Body) -> Json:
    """Add a stage `name` at the end of `job`; no webhook exists for it."""
    job = find_job(account, body)
    stage = account.greenhouse.add_stage(job, body.text("name"), sends_email=body.flag("sends_email", False))
    return {"stage_id": stage.id, "name": stage.name}


def delete_stage(account: Account, body: Body) -> Json:
    """Delete `stage` of `job`: it becomes inactive; applications in it stay there."""
    stage = find_stage(account, body, find_job(account, body).id)
    stage.active, stage.updated_at = False, account.greenhouse.clock.now()
    fire(account, "job_interview_stage_deleted", {"job_interview_stage": stage_payload(stage)})
    return {"stage_id": stage.id}


def close_job(account: Account, body: Body) -> Json:
    """Close `job`; fires `job_updated`."""
    job = find_job(account, body)
    now = account.greenhouse.clock.now()
    job.status, job.closed_at, job.updated_at = "closed", now, now
    fire(account, "job_updated", {"job": job_payload(job)})
    return {"job_id": job.id}


def reopen_job(account: Account, body: Body) -> Json:
    """Open `job` again; fires `job_updated`."""
    job = find_job(account, body)
    job.status, job.closed_at, job.updated_at = "open", None, account.greenhouse.clock.now()
    fire(account, "job_updated", {"job": job_payload(job)})
    return {"job_id": job.id}


def delete_job(account: Account, body: Body) -> Json:
    """Delete `job` with its stages and applications; only `job_deleted` fires."""
    greenhouse = account.greenhouse
    job = find_job(account, body)
    for application in [a for a in greenhouse.applications.values() if a.job_id == job.id]:
        greenhouse.forget_application(application)
    greenhouse.stages = {k: s for k, s in greenhouse.stages.items() if s.job_id != job.id}
    greenhouse.openings = {k: o for k, o in greenhouse.openings.items() if o.job_id != job.id}
    del greenhouse.jobs[job.id]
    fire(account, "job_deleted", {"job": {"id": job.id, "name": job.name}})
    return {"job_id": job.id}


def revoke_scope(account: Account, body: Body) -> Json:
    """Take `scope` from the credential, at once."""
    credential = _credential(account, body)
    credential.scopes.discard(_scope(body))
    return {"scopes": sorted(credential.scopes)}


def grant_scope(account: Account, body: Body) -> Json:
    """Give `scope` to the credential."""
    credential = _credential(account, body)
    credential.scopes.add(_scope(body))
    return {"scopes": sorted(credential.scopes)}


def revoke_permission(account: Account, body: Body) -> Json:
    """Untick `permission` (such as `applications.move`) of the key to Harvest v1."""
    key = account.greenhouse.harvest_key
    key.permissions.discard(body.text("permission"))
    return {"permissions": sorted(key.permissions)}


def grant_permission(account: Account, body: Body) -> Json:
    """Tick `permission` for the key to Harvest v1."""
    key = account.greenhouse.harvest_key
    key.permissions.add(body.text("permission"))
    return {"permissions": sorted(key.permissions)}


def drop_site_admin(account: Account, body: Body) -> Json:
    """Take Site Admin from `user_id` (default the first user, which is the service user)."""
    user = _user(account, body)
    user.site_admin = False
    return {"user_id": user.id, "site_admin": False}


def give_site_admin(account: Account, body: Body) -> Json:
    """Give Site Admin to `user_id`."""
    user = _user(account, body)
    user.site_admin = True
    return {"user_id": user.id, "site_admin": True}


def deactivate_user(account: Account, body: Body) -> Json:
    """Deactivate `user_id` (or, with `value` false, bring back)."""
    user = _user(account, body)
    user.deactivated = body.flag("value", True)
    return {"user_id": user.id, "deactivated": user.deactivated}


def rotate_client_secret(account: Account, body: Body) -> Json:
    """Give the OAuth client `secret` (or a made one); with `keep_old` false the old one dies at once."""
    credential = _credential(account, body)
    secret = body.text("secret", f"{credential.client_id}-secret-{len(credential.secrets) + 1:04d}")
    keep = credential.secrets if body.flag("keep_old", True) else []
    credential.secrets = [secret, *keep]
    return {"client_id": credential.client_id, "client_secret": secret}


def revoke_tokens(account: Account, body: Body) -> Json:
    """Revoke every access token of the account."""
    return {"revoked": revoke_all(account, body.optional_text("client_id"))}


def rotate_webhook_secret(account: Account, body: Body) -> Json:
    """Set `secret` on the webhooks (all, or `hook_id`); each is saved, so each pings."""
    number = body.optional_integer("hook_id")
    hooks = [h for h in account.greenhouse.hooks.values() if number in (None, h.id)]
    for hook in hooks:
        hook.secret, hook.updated_at = body.text("secret"), account.greenhouse.clock.now()
        fire_ping(account, hook)
    return {"hook_ids": [hook.id for hook in hooks]}


def write_note(account: Account, body: Body) -> Json:
    """A person writes `body` as a note on an application; does not count as one of the API's."""
    application = find_application(account, body)
    note = account.greenhouse.person_note(application, body.text("body"), _user(account, body).id)
    return {"note_id": note.id}


def submit_scorecard(account: Account, body: Body) -> Json:
    """An interviewer submits a scorecard with `rating` (or leaves a draft with `draft`)."""
    greenhouse = account.greenhouse
    application = find_application(account, body)
    if application.stage is None:
        raise ControlError("the application is in no stage", 409)
    now = greenhouse.clock.now()
    is_draft = body.flag("draft", False)
    user = _user(account, body)
    scorecard = Scorecard(
        id=greenhouse.ids.next("scorecard"),
        application_id=application.id,
        interview_kit_id=application.stage.kit_id,
        interviewer_id=user.id,
        submitter_id=None if is_draft else user.id,
        status="draft" if is_draft else "complete",
        candidate_rating="no_decision" if is_draft else body.text("rating", "yes"),
        created_at=now,
        updated_at=now,
        submitted_at=None if is_draft else now,
        notes=body.optional_text("notes"),
    )
    greenhouse.scorecards[scorecard.id] = scorecard
    greenhouse.touch(application, now)
    for interview in greenhouse.interviews.values():
        if interview.application_id == application.id and interview.scorecard_id is None:
            interview.scorecard_id = scorecard.id
            break
    return {"scorecard_id": scorecard.id}


def delete_scorecard(account: Account, body: Body) -> Json:
    """Delete `scorecard_id`; fires `scorecard_deleted`."""
    scorecard = account.greenhouse.scorecards.pop(body.integer("scorecard_id", 0), None)
    if scorecard is None:
        raise ControlError("no such scorecard", 404)
    application = account.greenhouse.applications[scorecard.application_id]
    fire(account, "scorecard_deleted", {"scorecard": scorecard_payload(scorecard, application.candidate_id)})
    return {"scorecard_id": scorecard.id}


def schedule_interview(account: Account, body: Body) -> Json:
    """Schedule an interview of the application's stage with `status`; no webhook exists for it."""
    greenhouse = account.greenhouse
    application = find_application(account, body)
    if application.stage is None or application.job_id is None:
        raise ControlError("the application is in no stage", 409)
    now = greenhouse.clock.now()
    user = _user(account, body)
    interview = Interview(
        id=greenhouse.ids.next("interview"),
        application_id=application.id,
        job_id=application.job_id,
        job_interview_id=application.stage.interview_id,
        organizer_id=user.id,
        interviewer_row_id=greenhouse.ids.next("interviewer"),
        interviewer_id=user.id,
        status=body.text("status", "scheduled"),
        starts_at=now + timedelta(seconds=body.number("in_seconds", 86400)),
        ends_at=now + timedelta(seconds=body.number("in_seconds", 86400) + 2700),
        created_at=now,
        updated_at=now,
    )
    greenhouse.interviews[interview.id] = interview
    return {"interview_id": interview.id}


def set_interview_status(account: Account, body: Body) -> Json:
    """Set `status` of `interview_id`; no webhook exists for it."""
    interview = account.greenhouse.interviews.get(body.integer("interview_id", 0))
    if interview is None:
        raise ControlError("no such interview", 404)
    interview.status, interview.updated_at = body.text("status"), account.greenhouse.clock.now()
    return {"interview_id": interview.id, "status": interview.status}


def delete_interview(account: Account, body: Body) -> Json:
    """Delete `interview_id`; fires `interview_deleted`."""
    interview = account.greenhouse.interviews.pop(body.integer("interview_id", 0), None)
    if interview is None:
        raise ControlError("no such interview", 404)
    fire(account, "interview_deleted", {"interview": {"id": interview.id}})
    return {"interview_id": interview.id}


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        rename_stage,
        reorder_stages,
        add_stage,
        delete_stage,
        close_job,
        reopen_job,
        delete_job,
        revoke_scope,
        grant_scope,
        revoke_permission,
        grant_permission,
        drop_site_admin,
        give_site_admin,
        deactivate_user,
        rotate_client_secret,
        revoke_tokens,
        rotate_webhook_secret,
        define_field,
        write_note,
        submit_scorecard,
        delete_scorecard,
        schedule_interview,
        set_interview_status,
        delete_interview,
    )
}


def _credential(account: Account, body: Body) -> Credential:
    credentials = account.greenhouse.credentials
    client_id = body.text("client_id", next(iter(credentials), ""))
    if client_id not in credentials:
        raise ControlError("no such client", 404)
    return credentials[client_id]


def _scope(body: Body) -> str:
    scope = body.text("scope")
    return scope if scope.startswith("harvest:") else f"harvest:{scope}"


def _user(account: Account, body: Body) -> User:
    users = account.greenhouse.users
    number = body.integer("user_id", next(iter(users), 0))
    if number not in users:
        raise ControlError(f"no user {number}", 404)
    return users[number]
