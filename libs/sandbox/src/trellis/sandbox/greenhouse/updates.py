"""The update of an application's custom fields, in v3 and in v1.

Sources: the route of both versions is the vendor's; how v3 takes custom fields is documented nowhere, hence the switch
`update.field_shape`. In v1 a list of objects with `name_key` and `value`, or with `delete_value`, since an empty value is
refused (the vendor's documents of v1).
"""

from __future__ import annotations

from aiohttp import web

from trellis.sandbox.bodies import Body, Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse.answers import invalid, no_record
from trellis.sandbox.greenhouse.hooks import fire_updated
from trellis.sandbox.greenhouse.model import Application, User
from trellis.sandbox.greenhouse.rows import application_row
from trellis.sandbox.greenhouse.state import Greenhouse
from trellis.sandbox.greenhouse.v1_answers import invalid as v1_invalid
from trellis.sandbox.greenhouse.v1_lists import find_application
from trellis.sandbox.greenhouse.v1_rows import application_row as v1_row
from trellis.sandbox.greenhouse.v1_writes import write_fields
from trellis.sandbox.greenhouse.writes import read_object
from trellis.sandbox.world import Account

LONGEST = 255
"""Signs that a short text has fewer than."""


def update_application(
    account: Account, _user: User, request: web.Request, body: bytes, _fault: Fault | None
) -> web.Response:
    """`PATCH /applications/{id}`: 200 with the application; an unknown field, or a value that does not fit, is 422."""
    fields = read_object(body, {"custom_fields"})
    application = account.greenhouse.applications.get(int(request.match_info["id"]))
    if application is None or account.greenhouse.is_hidden(application):
        raise no_record("Application")
    shape = account.switches.text("update.field_shape")
    problem = _set(account, application, _changes(fields.get("custom_fields"), shape))
    if problem is not None:
        raise invalid("custom_fields", problem)
    return web.json_response(application_row(account.greenhouse, application))


def update_through_v1(account: Account, request: web.Request, body: bytes, _fault: Fault | None) -> web.Response:
    """`PATCH /applications/{id}` of v1: 200 with the application."""
    fields = write_fields(account, request, body)
    application = find_application(account, request)
    problem = _set(account, application, _changes(fields.get("custom_fields"), "list"))
    if problem is not None:
        raise v1_invalid("custom_fields", problem)
    return web.json_response(v1_row(account.greenhouse, application))


def define_field(account: Account, body: Body) -> Json:
    """Make a custom field of applications, a short text, with the immutable key `key`."""
    account.greenhouse.application_fields.add(body.text("key"))
    return {"fields": sorted(account.greenhouse.application_fields)}


def _changes(value: object, shape: str) -> dict[str, object] | None:
    """What each key is set to, None empties it; None when the shape is another."""
    if shape == "keyed":
        return dict(value) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, dict) and "name_key" in item for item in value):
        return None
    return {
        str(item["name_key"]): None if item.get("delete_value") == "true" else item.get("value", "") for item in value
    }


def _set(account: Account, application: Application, changes: dict[str, object] | None) -> str | None:
    """Set the fields and fire `application_updated`; or say what is wrong and change nothing."""
    greenhouse: Greenhouse = account.greenhouse
    if changes is None:
        return "has another shape"
    for key, value in changes.items():
        if key not in greenhouse.application_fields:
            return f"{key} is no custom field of applications"
        if value is not None and (not isinstance(value, str) or not value or len(value) >= LONGEST):
            return f"{key} must be a short text"
    for key, value in changes.items():
        application.custom_fields[key] = {"name": key, "type": "short_text", "value": value}
        written = {"application_id": application.id, "key": key, "value": value or ""}
        greenhouse.written_fields.append(written | {"at": iso_milliseconds(greenhouse.clock.now())})
    greenhouse.touch(application, greenhouse.clock.now(), activity=False)
    fire_updated(account, application)
    return None
