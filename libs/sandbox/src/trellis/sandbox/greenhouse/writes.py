"""The two writes of Harvest v3 that Trellis uses: move (with advance and transfer) and note.

Source: greenhouse.md sections 6.2 and 6.3.
"""

from __future__ import annotations

import html
import json

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse.answers import Refusal, invalid, no_record, unprocessable
from trellis.sandbox.greenhouse.hooks import fire_stage_change, fire_transfer
from trellis.sandbox.greenhouse.lists import VISIBILITY
from trellis.sandbox.greenhouse.model import Application, Note, Stage, User
from trellis.sandbox.greenhouse.rows import note_row
from trellis.sandbox.greenhouse.state import Greenhouse
from trellis.sandbox.world import Account

_MOVE_FIELDS = {"from_stage_id", "to_stage_id", "to_job_id", "email_from_user_id"}
_NOTE_FIELDS = {
    "candidate_id",
    "body",
    "visibility",
    "note_type",
    "application_id",
    "user_id",
    "subject",
    "email_from",
    "email_to",
    "email_cc",
}
_NOTE_TYPES = ("note", "activity", "email")


def move_application(
    account: Account, _user: User, request: web.Request, body: bytes, _fault: Fault | None
) -> web.Response:
    """`POST /applications/{id}/move`: compare the stage, then set it; 204.

    Raises:
        Refusal: 404 for an unknown application, 422 for all else; the switch `move.stale_code` changes the code of a
            stale `from_stage_id`.
    """
    greenhouse = account.greenhouse
    fields = read_object(body, _MOVE_FIELDS)
    application = greenhouse.applications.get(int(request.match_info["id"]))
    if application is None or greenhouse.is_hidden(application):
        raise no_record("Application")
    from_id = _id(fields, "from_stage_id")
    to_stage, to_job = _id(fields, "to_stage_id"), _id(fields, "to_job_id")
    sender = _id(fields, "email_from_user_id")
    if from_id is None:
        raise invalid("from_stage_id", "is missing")
    if sender is not None and sender not in greenhouse.users:
        raise invalid("email_from_user_id", "is not a user")
    current = _current_stage(greenhouse, application)
    _compare(account, application, current, from_id)
    _relocate(account, application, current, to_stage, to_job)
    return web.Response(status=204)


def create_note(account: Account, user: User, _request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`POST /notes`: 201 with the note. An unknown candidate is not noticed, as on the real one."""
    greenhouse = account.greenhouse
    fields = read_object(body, _NOTE_FIELDS)
    candidate_id, application_id = _target_of_note(account, fields)
    text, visibility, note_type = (_text(fields, name) for name in ("body", "visibility", "note_type"))
    if visibility not in VISIBILITY:
        raise invalid("visibility", f"must be one of: {', '.join(VISIBILITY)}")
    if note_type.lower() not in _NOTE_TYPES:
        raise invalid("note_type", f"must be one of: {', '.join(_NOTE_TYPES)}")
    author = _id(fields, "user_id") or user.id
    if author not in greenhouse.users:
        raise invalid("user_id", "is not a user")
    note = Note(
        id=greenhouse.ids.next("note"),
        candidate_id=candidate_id,
        application_id=application_id,
        user_id=author,
        type=note_type.upper(),
        visibility=VISIBILITY[visibility],
        body=stored_body(account, text),
        created_at=greenhouse.clock.now(),
        subject=_optional_text(fields, "subject"),
        email_from=_optional_text(fields, "email_from"),
        email_to=_optional_text(fields, "email_to"),
        email_cc=_optional_text(fields, "email_cc"),
    )
    greenhouse.add_note(note)
    greenhouse.written_notes.append(tell_written(note, text))
    return web.json_response(note_row(note), status=201)


def _target_of_note(account: Account, fields: Json) -> tuple[int, int | None]:
    """The candidate and application a note is for, as far as Greenhouse checks them."""
    greenhouse = account.greenhouse
    candidate_id, application_id = _id(fields, "candidate_id"), _id(fields, "application_id")
    if candidate_id is None:
        raise invalid("candidate_id", "is missing")
    is_unknown = candidate_id not in greenhouse.candidates
    if is_unknown and account.switches.text("note.unknown_candidate") == "404":
        raise no_record("Candidate")
    if application_id is not None:
        application = greenhouse.applications.get(application_id)
        if application is None or application.candidate_id != candidate_id:
            raise invalid("application_id", "is not an application of this candidate")
    return candidate_id, application_id


def tell_written(note: Note, sent: str) -> Json:
    """A note as the effects count it, with the body as it was sent."""
    return {
        "id": note.id,
        "application_id": note.application_id,
        "candidate_id": note.candidate_id,
        "user_id": note.user_id,
        "body": sent,
        "visibility": note.visibility,
        "at": iso_milliseconds(note.created_at),
    }


def _current_stage(greenhouse: Greenhouse, application: Application) -> Stage:
    if application.prospect:
        raise unprocessable("Prospects cannot be moved")
    if application.status != "active" or application.stage is None:
        raise unprocessable("Only active applications can be moved")
    job = greenhouse.jobs.get(application.job_id or 0)
    if job is None or job.status == "closed":
        raise unprocessable("The job is closed")
    return application.stage


def _compare(account: Account, application: Application, current: Stage, from_id: int) -> None:
    accepted: dict[str, set[int | None]] = {
        "job_interview_stage": {current.id},
        "application_stage": {application.row_id},
        "either": {current.id, application.row_id},
    }
    if from_id in accepted[account.switches.text("move.from_stage_space")]:
        return
    text = "from_stage_id does not match the current stage"
    match account.switches.integer("move.stale_code"):
        case 409:
            raise Refusal(409, "Conflict", [text])
        case 404:
            raise Refusal(404, "Resource not found", text)
        case _:
            raise unprocessable(text)


def _relocate(
    account: Account, application: Application, current: Stage, to_stage: int | None, to_job: int | None
) -> None:
    greenhouse = account.greenhouse
    if to_job is not None:
        stage = _first_stage(account, application, to_job, to_stage)
        greenhouse.hold_back(application)
        greenhouse.transfer(application, stage, by="api")
        fire_transfer(account, application)
        return
    if to_stage is None:
        target = greenhouse.next_stage(current)
        if target is None:
            raise unprocessable("There is no stage to advance to")
    else:
        target = _stage_of(greenhouse, to_stage, application.job_id)
    if target.id == current.id:
        raise invalid("to_stage_id", "is the current stage")
    greenhouse.hold_back(application)
    greenhouse.enter_stage(application, target, by="api")
    fire_stage_change(account, application)


def _first_stage(account: Account, application: Application, to_job: int, to_stage: int | None) -> Stage:
    greenhouse = account.greenhouse
    job = greenhouse.jobs.get(to_job)
    if job is None or job.status != "open" or job.id == application.job_id:
        raise invalid("to_job_id", "is not another open job")
    together = account.switches.text("move.to_stage_with_to_job")
    if to_stage is not None and together == "reject_422":
        raise unprocessable("to_stage_id and to_job_id cannot be used together")
    if to_stage is not None and together == "accept":
        return _stage_of(greenhouse, to_stage, to_job)
    plan = greenhouse.plan(to_job)
    if not plan:
        raise invalid("to_job_id", "has no stages")
    return plan[0]


def _stage_of(greenhouse: Greenhouse, stage_id: int, job_id: int | None) -> Stage:
    stage = greenhouse.stages.get(stage_id)
    if stage is None or stage.job_id != job_id or not stage.active:
        raise invalid("to_stage_id", "is not an active stage of this job")
    return stage


def stored_body(account: Account, body: str) -> str:
    """What Greenhouse keeps of a note's body, by the switch `note.body_rewrite`."""
    match account.switches.text("note.body_rewrite"):
        case "trim":
            return body.strip()
        case "escape_html":
            return html.escape(body, quote=False)
        case _:
            return body


def read_object(body: bytes, known: set[str]) -> Json:
    """The JSON object in a write's body, with no field but *known* ones."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "Bad Request", ["The body is not JSON"]) from error
    if not isinstance(fields, dict):
        raise Refusal(400, "Bad Request", ["The body is not an object"])
    unknown = sorted(set(fields) - known)
    if unknown:
        raise unprocessable(f"Invalid body params: {', '.join(unknown)}")
    return fields


def _id(fields: Json, name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(name, "must be an integer")
    return value


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, "is missing")
    return value


def _optional_text(fields: Json, name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(name, "must be a string")
    return value
