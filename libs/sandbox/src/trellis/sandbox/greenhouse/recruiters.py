"""What recruiters do in Greenhouse, and which webhooks it fires.

`"silent": true` does the same without a webhook, as if it had been lost.
Source: greenhouse.md sections 2.3, 2.5 and 9 (drivers).
"""

from __future__ import annotations

from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.greenhouse.hooks import fire, fire_stage_change, fire_transfer
from trellis.sandbox.greenhouse.model import Application, Candidate
from trellis.sandbox.greenhouse.payloads import (
    application_payload,
    deleted_application_payload,
    hired_payload,
    person_payload,
    updated_candidate_payload,
)
from trellis.sandbox.greenhouse.profiles import (
    application_fields,
    candidate_fields,
    made_up_attachments,
    made_up_profile,
)
from trellis.sandbox.people import (
    Verb,
    addresses,
    find_application,
    find_candidate,
    find_job,
    find_stage,
    tell_application,
)
from trellis.sandbox.world import Account

ANONYMIZED = ("full_name", "email_addresses", "phone_numbers", "notes", "activity_items", "candidate_stage_data")


def apply(account: Account, body: Body) -> Json:
    """A person applies: a candidate (or `candidate_id`'s next application) in `stage` of `job`."""
    greenhouse = account.greenhouse
    now = greenhouse.clock.now()
    is_prospect = body.flag("prospect", False)
    job = find_job(account, body)
    if body.optional_integer("candidate_id") is not None:
        candidate = find_candidate(account, body)
    else:
        candidate = _new_candidate(account, body)
    source_name = body.text("source", "Jobs page on your website")
    application = Application(
        id=greenhouse.ids.next("application"),
        candidate_id=candidate.id,
        job_id=None if is_prospect else job.id,
        created_at=now,
        updated_at=now,
        last_activity_at=now,
        prospect=is_prospect,
        source={"id": greenhouse.ids.next("source"), "name": source_name} if source_name else None,
        recruiter_id=_recruiter(account),
        custom_fields={**application_fields(), **body.section("custom_fields").fields},
    )
    greenhouse.applications[application.id] = application
    if not is_prospect:
        plan = greenhouse.plan(job.id)
        if not plan:
            raise ControlError("the job has no stages")
        stage = find_stage(account, body, job.id) if body.has("stage") else plan[0]
        greenhouse.enter_stage(application, stage, by="system")
    event = "new_prospect_application" if is_prospect else "new_candidate_application"
    _fire_application(account, body, event, application)
    both = account.switches.text("hook.first_stage_fires") == "both"
    if both and not is_prospect and not _silent(body):
        fire_stage_change(account, application)
    return tell_application(account, application)


def move(account: Account, body: Body) -> Json:
    """Move to `stage` of the same job."""
    application = _active(account, body)
    stage = find_stage(account, body, application.job_id)
    if application.stage is stage:
        raise ControlError(f"application {application.id} is in that stage already", 409)
    account.greenhouse.enter_stage(application, stage, by="person")
    if not _silent(body):
        fire_stage_change(account, application)
    return tell_application(account, application)


def reject(account: Account, body: Body) -> Json:
    """Reject, with `reason`."""
    application = _active(account, body)
    now = account.greenhouse.clock.now()
    application.status, application.rejected_at = "rejected", now
    application.rejection_reason = {
        "id": account.greenhouse.ids.next("rejection_reason"),
        "name": body.text("reason", "Assessment below bar"),
        "type": {"id": 1, "name": "We rejected them"},
    }
    account.greenhouse.touch(application, now)
    _fire_application(account, body, "reject_candidate", application)
    return tell_application(account, application)


def unreject(account: Account, body: Body) -> Json:
    """Take a rejection back; the stage is the one it was in."""
    application = _with_status(account, body, "rejected")
    application.status, application.rejected_at, application.rejection_reason = "active", None, None
    account.greenhouse.touch(application, account.greenhouse.clock.now())
    _fire_application(account, body, "unreject_candidate", application)
    return tell_application(account, application)


def hire(account: Account, body: Body) -> Json:
    """Hire: no stage any more, an opening is filled."""
    greenhouse = account.greenhouse
    application = _active(account, body)
    now = greenhouse.clock.now()
    greenhouse.hired_from[application.id] = application.stage
    greenhouse.leave_stage(application, now)
    application.status, application.stage = "hired", None
    greenhouse.touch(application, now)
    free = [o for o in greenhouse.openings.values() if o.job_id == application.job_id and o.open]
    if free:
        free[0].open, free[0].application_id, free[0].closed_at = False, application.id, now
    if not _silent(body):
        fire(account, "hire_candidate", {"application": hired_payload(greenhouse, application)})
    return tell_application(account, application)


def unhire(account: Account, body: Body) -> Json:
    """Take a hire back: into the stage it was hired from."""
    greenhouse = account.greenhouse
    application = _with_status(account, body, "hired")
    application.status = "active"
    for opening in greenhouse.openings.values():
        if opening.application_id == application.id:
            opening.open, opening.application_id, opening.closed_at = True, None, None
    stage = greenhouse.hired_from.pop(application.id, None)
    if stage is not None:
        greenhouse.enter_stage(application, stage, by="system")
    _fire_application(account, body, "unhire_candidate", application)
    return tell_application(account, application)


def transfer(account: Account, body: Body) -> Json:
    """Put on `to_job`, into its first stage or `stage`; the application's id stays."""
    application = _active(account, body)
    body.text("to_job")
    job = find_job(account, body, "to_job")
    if job.id == application.job_id:
        raise ControlError(f"application {application.id} is on that job already", 409)
    plan = account.greenhouse.plan(job.id)
    if not plan:
        raise ControlError("the job has no stages")
    stage = find_stage(account, body, job.id) if body.has("stage") else plan[0]
    account.greenhouse.transfer(application, stage, by="person")
    if not _silent(body):
        fire_transfer(account, application)
    return tell_application(account, application)


def merge(account: Account, body: Body) -> Json:
    """Merge `loser` into `winner` (objects that name a candidate).

    The loser's applications live on, except on a job the winner is on too: that one is deleted.
    """
    greenhouse = account.greenhouse
    winner = find_candidate(account, body.section("winner"))
    loser = find_candidate(account, body.section("loser"))
    if winner.id == loser.id:
        raise ControlError("winner and loser are the same candidate")
    taken = {a.job_id for a in greenhouse.applications_of(winner.id)}
    deleted = [a for a in greenhouse.applications_of(loser.id) if a.job_id in taken]
    for application in greenhouse.applications_of(loser.id):
        if application in deleted:
            greenhouse.forget_application(application)
            if not _silent(body):
                fire(account, "delete_application", {"application": deleted_application_payload(application)})
        else:
            application.candidate_id = winner.id
            application.updated_at = greenhouse.clock.now()
    for note in greenhouse.notes.values():
        if note.candidate_id == loser.id:
            note.candidate_id = winner.id
    del greenhouse.candidates[loser.id]
    person = person_payload(loser)
    if not _silent(body):
        if any(h.event == "merge_candidate" and h.enabled for h in greenhouse.hooks.values()):
            fire(account, "merge_candidate", {"person": {**person, "new_candidate_id": winner.id}})
        else:
            fire(account, "delete_candidate", {"person": {**person, "deleted_application_ids": []}})
    return {"candidate_id": winner.id, "deleted_application_ids": [a.id for a in deleted]}


def delete_candidate(account: Account, body: Body) -> Json:
    """Delete a person with all applications; only `delete_candidate` fires."""
    candidate = find_candidate(account, body)
    gone = account.greenhouse.applications_of(candidate.id)
    for application in gone:
        account.greenhouse.forget_application(application)
    del account.greenhouse.candidates[candidate.id]
    numbers = [a.id for a in gone]
    if not _silent(body):
        person = {**person_payload(candidate), "deleted_application_ids": numbers}
        fire(account, "delete_candidate", {"person": person})
    return {"candidate_id": candidate.id, "deleted_application_ids": numbers}


def delete_application(account: Account, body: Body) -> Json:
    """Take a person off a job."""
    application = find_application(account, body)
    account.greenhouse.forget_application(application)
    if not _silent(body):
        fire(account, "delete_application", {"application": deleted_application_payload(application)})
    return {"application_id": application.id, "candidate_id": application.candidate_id}


def anonymize(account: Account, body: Body) -> Json:
    """Anonymise `fields`; by default also notes and stage data, which puts applications into the first stage."""
    greenhouse = account.greenhouse
    candidate = find_candidate(account, body)
    fields = body.texts("fields") or list(ANONYMIZED)
    applications = greenhouse.applications_of(candidate.id)
    if "full_name" in fields:
        candidate.first_name, candidate.last_name = "Anonymous", "Candidate"
        candidate.profile, candidate.attachments, candidate.custom_fields = {}, [], {}
    if "email_addresses" in fields:
        candidate.email_addresses = []
    if "phone_numbers" in fields:
        candidate.phone_numbers = []
    if "notes" in fields:
        greenhouse.notes = {k: n for k, n in greenhouse.notes.items() if n.candidate_id != candidate.id}
    for application in applications:
        if "notes" in fields:
            greenhouse.notes_of.pop(application.id, None)
        if "activity_items" in fields:
            greenhouse.activities.pop(application.id, None)
        plan = greenhouse.plan(application.job_id)
        if "candidate_stage_data" in fields and plan and application.stage not in (None, plan[0]):
            greenhouse.enter_stage(application, plan[0], by="system")
    candidate.updated_at = greenhouse.clock.now()
    if not _silent(body):
        fire(account, "candidate_anonymized", {"candidate_id": candidate.id, "anonymized_fields": list(fields)})
    return {"candidate_id": candidate.id, "application_ids": [a.id for a in applications]}


def edit_email(account: Account, body: Body) -> Json:
    """Set the addresses to `emails` (texts or {value, type}; may be empty)."""
    candidate = find_candidate(account, body)
    candidate.email_addresses = addresses(body.items("emails"), "personal")
    return _updated(account, body, candidate)


def set_private(account: Account, body: Body) -> Json:
    """Set `is_private` to `value` (default true)."""
    candidate = find_candidate(account, body)
    candidate.private = body.flag("value", True)
    return _updated(account, body, candidate)


def set_can_email(account: Account, body: Body) -> Json:
    """Set `can_email` to `value` (default false)."""
    candidate = find_candidate(account, body)
    candidate.can_email = body.flag("value", False)
    return _updated(account, body, candidate)


def add_tag(account: Account, body: Body) -> Json:
    """Add `tag` to a candidate."""
    candidate = find_candidate(account, body)
    candidate.tags.append(body.text("tag"))
    return _updated(account, body, candidate)


def edit_application(account: Account, body: Body) -> Json:
    """Set `custom_fields` of an application; fires `application_updated`."""
    application = find_application(account, body)
    application.custom_fields.update(body.section("custom_fields").fields)
    account.greenhouse.touch(application, account.greenhouse.clock.now(), activity=False)
    _fire_application(account, body, "application_updated", application)
    return tell_application(account, application)


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        apply,
        move,
        reject,
        unreject,
        hire,
        unhire,
        transfer,
        merge,
        delete_candidate,
        delete_application,
        anonymize,
        edit_email,
        set_private,
        set_can_email,
        add_tag,
        edit_application,
    )
}


def _silent(body: Body) -> bool:
    return body.flag("silent", False)


def _fire_application(account: Account, body: Body, event: str, application: Application) -> None:
    if not _silent(body):
        fire(account, event, {"application": application_payload(account.greenhouse, application)})


def _updated(account: Account, body: Body, candidate: Candidate) -> Json:
    candidate.updated_at = account.greenhouse.clock.now()
    if not _silent(body):
        fire(account, "update_candidate", {"candidate": updated_candidate_payload(account.greenhouse, candidate)})
    return {
        "candidate_id": candidate.id,
        "application_ids": [a.id for a in account.greenhouse.applications_of(candidate.id)],
    }


def _active(account: Account, body: Body) -> Application:
    return _with_status(account, body, "active")


def _with_status(account: Account, body: Body, status: str) -> Application:
    application = find_application(account, body)
    if application.status != status or application.prospect:
        raise ControlError(f"application {application.id} is not an {status} one", 409)
    return application


def _recruiter(account: Account) -> int | None:
    """The first user who is a person: neither the service user nor a service account."""
    people = [user.id for user in account.greenhouse.users.values() if not user.service_account]
    return people[1] if len(people) > 1 else None


def _new_candidate(account: Account, body: Body) -> Candidate:
    greenhouse = account.greenhouse
    now = greenhouse.clock.now()
    emails = body.items("emails")
    if emails is None and body.optional_text("email") is not None:
        emails = [body.text("email")]
    number = greenhouse.ids.next("candidate")
    candidate = Candidate(
        id=number,
        first_name=body.text("first_name", "Casey"),
        last_name=body.text("last_name", f"Candidate {number % 100_000}"),
        created_at=now,
        updated_at=now,
        last_activity_at=now,
        email_addresses=addresses(emails, "personal"),
        phone_numbers=addresses(body.items("phones"), "mobile"),
        title=body.optional_text("title"),
        company=body.optional_text("company"),
        tags=body.texts("tags") or [],
        private=body.flag("private", False),
        can_email=body.flag("can_email", True),
        custom_fields={**candidate_fields(), **body.section("candidate_custom_fields").fields},
        attachments=made_up_attachments(number),
        profile=made_up_profile(number),
    )
    greenhouse.candidates[number] = candidate
    return candidate
