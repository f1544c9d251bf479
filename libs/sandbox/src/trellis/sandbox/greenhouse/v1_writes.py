"""Harvest v1's writes: move, advance, transfer and note, each on behalf of a user.

Source: greenhouse.md section 4.
"""

from __future__ import annotations

import json

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse.hooks import fire_stage_change, fire_transfer
from trellis.sandbox.greenhouse.lists import VISIBILITY
from trellis.sandbox.greenhouse.model import Application, Note, Stage
from trellis.sandbox.greenhouse.v1_answers import V1Refusal, invalid, missing, not_found
from trellis.sandbox.greenhouse.v1_lists import find_application, find_candidate
from trellis.sandbox.greenhouse.v1_rows import application_row, note_row
from trellis.sandbox.greenhouse.writes import stored_body, tell_written
from trellis.sandbox.world import Account


def move(account: Account, request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`POST /applications/{id}/move`: both stages are required, of the same job; 200 with the application."""
    fields = write_fields(account, request, body)
    application = find_application(account, request)
    from_id, to_id = _id(fields, "from_stage_id"), _id(fields, "to_stage_id")
    current = _present(account, application, from_id)
    target = account.greenhouse.stages.get(to_id)
    if target is None or target.job_id != application.job_id or not target.active or target.id == current.id:
        raise invalid("to_stage_id", "Must be another active stage of the job")
    return _enter(account, application, target)


def advance(account: Account, request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`POST /applications/{id}/advance`: into the next stage."""
    fields = write_fields(account, request, body)
    application = find_application(account, request)
    target = account.greenhouse.next_stage(_present(account, application, _id(fields, "from_stage_id")))
    if target is None:
        raise invalid("from_stage_id", "Is the last stage")
    return _enter(account, application, target)


def transfer(account: Account, request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`POST /applications/{id}/transfer_to_job`: nothing guards the stage it leaves."""
    fields = write_fields(account, request, body)
    greenhouse, application = account.greenhouse, find_application(account, request)
    if application.prospect or application.status != "active":
        raise invalid("id", "Only active applications that are no prospects can be transferred")
    job = greenhouse.jobs.get(_id(fields, "new_job_id"))
    if job is None or job.status != "open" or job.id == application.job_id:
        raise invalid("new_job_id", "Must be another open job")
    plan = greenhouse.plan(job.id)
    wanted = _id(fields, "new_stage_id") if "new_stage_id" in fields else plan[0].id
    target = next((stage for stage in plan if stage.id == wanted), None)
    if target is None:
        raise invalid("new_stage_id", "Must be an active stage of the new job")
    greenhouse.hold_back(application)
    greenhouse.transfer(application, target, by="api")
    fire_transfer(account, application)
    return web.json_response(application_row(greenhouse, application))


def create_note(account: Account, request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`POST /candidates/{id}/activity_feed/notes`: the note names no application."""
    greenhouse, fields = account.greenhouse, write_fields(account, request, body)
    candidate = find_candidate(account, request)
    user_id, text, word = _id(fields, "user_id"), _text(fields, "body"), _text(fields, "visibility")
    if user_id not in greenhouse.users:
        raise not_found()
    if word not in VISIBILITY:
        raise invalid("visibility", f"Must be one of: {', '.join(VISIBILITY)}")
    note = Note(
        id=greenhouse.ids.next("note"),
        candidate_id=candidate.id,
        application_id=None,
        user_id=user_id,
        type="NOTE",
        visibility=VISIBILITY[word],
        body=stored_body(account, text),
        created_at=greenhouse.clock.now(),
    )
    greenhouse.add_note(note)
    greenhouse.written_notes.append(tell_written(note, text))
    return web.json_response(note_row(greenhouse, note), status=account.switches.integer("note.v1_status"))


def _enter(account: Account, application: Application, target: Stage) -> web.Response:
    greenhouse = account.greenhouse
    greenhouse.hold_back(application)
    greenhouse.enter_stage(application, target, by="api")
    fire_stage_change(account, application)
    return web.json_response(application_row(greenhouse, application))


def _present(account: Account, application: Application, from_id: int) -> Stage:
    """The stage the application is in, if it is active and that is the one it is to leave."""
    job = account.greenhouse.jobs.get(application.job_id or 0)
    if application.prospect or application.status != "active" or application.stage is None:
        raise invalid("id", "Only active applications can be moved")
    if job is None or job.status == "closed":
        raise invalid("id", "The job is closed")
    if application.stage.id == from_id:
        return application.stage
    text = "The application is not in the given stage"
    code = account.switches.integer("move.stale_code")
    raise not_found() if code == 404 else V1Refusal(code, invalid("from_stage_id", text).body)


def write_fields(account: Account, request: web.Request, body: bytes) -> Json:
    """The body of a write that is made on behalf of a user of the account."""
    acting = request.headers.getall("On-Behalf-Of", [])
    if len(acting) != 1 or not acting[0].strip():
        raise missing("On-Behalf-Of")
    user = account.greenhouse.users.get(int(acting[0]) if acting[0].isascii() and acting[0].isdigit() else 0)
    if user is None or user.deactivated:
        raise not_found()
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise V1Refusal(400, {"message": "The body is not a JSON object"})
    return fields


def _id(fields: Json, name: str) -> int:
    value = fields.get(name)
    if value is None:
        raise missing(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(name, "Must be a whole number")
    return value


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise missing(name)
    return value
