"""Answering a list of Harvest v3: the Site Admin rule, cursor, filters, columns, Link header.

Source: greenhouse.md sections 5.2 and 5.3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse.answers import forbidden, invalid, unprocessable
from trellis.sandbox.greenhouse.filters import Query, read_query
from trellis.sandbox.greenhouse.lists import LISTS, ListRoute
from trellis.sandbox.greenhouse.model import User
from trellis.sandbox.world import Account

_ROUTES = {route.resource: route for route in LISTS}
_CURSOR_KEY = b"sandbox-cursor"

Pairs = list[tuple[str, str]]


def answer_list(account: Account, user: User, request: web.Request, resource: str, fault: Fault | None) -> web.Response:
    """One page of *resource*, ids descending.

    Raises:
        Refusal: 403 for a subject that is no Site Admin, 422 for any parameter that is not understood.
    """
    route = _ROUTES[resource]
    pairs, before = _start(request, resource)
    if fault is not None and fault.kind == "cursor_expired":
        raise unprocessable("The cursor has expired.")
    query = read_query(pairs, route.filters, account.switches.text("filters.range_syntax"))
    if not user.site_admin:
        if account.switches.text("list.non_admin") == "403":
            raise forbidden("Only Site Admins may use list endpoints")
        return web.json_response([])
    if fault is not None and fault.kind == "filter_ignored":
        query.predicates.clear()
        query.ids.clear()
    rows = _page(account, route, query, before)
    page, more = rows[: query.per_page], len(rows) > query.per_page
    response = web.json_response([_columns(row, query) for row in page])
    if more:
        cursor = _encode(resource, pairs, page[-1])
        response.headers["Link"] = f'<{request.url.origin()}{request.path}?cursor={cursor}>; rel="next"'
    return response


def _start(request: web.Request, resource: str) -> tuple[Pairs, int | None]:
    """The parameters of the list and the id to continue below; a cursor brings both."""
    pairs = list(request.query.items())
    cursors = [value for name, value in pairs if name == "cursor"]
    if not cursors:
        return pairs, None
    if len(pairs) > 1:
        raise unprocessable("When passing a cursor, do not include other query params.")
    return _decode(resource, cursors[0])


def _page(account: Account, route: ListRoute, query: Query, before: int | None) -> list[Json]:
    rows = [
        row
        for row in route.source(account.greenhouse, query)
        if (before is None or _id(row) < before) and query.matches(row)
    ]
    rows.sort(key=_id, reverse=True)
    if query.fields is not None and rows:
        unknown = [name for name in query.fields if name not in rows[0]]
        if unknown:
            raise invalid("fields", f"unknown: {', '.join(unknown)}")
    return rows


def _columns(row: Json, query: Query) -> Json:
    return row if query.fields is None else {name: row[name] for name in query.fields}


def _id(row: Json) -> int:
    value = row["id"]
    return value if isinstance(value, int) else 0


def _encode(resource: str, pairs: Pairs, last: Json) -> str:
    text = json.dumps([resource, pairs, _id(last)], separators=(",", ":")).encode()
    mark = hmac.new(_CURSOR_KEY, text, hashlib.sha256).digest()[:9]
    return base64.urlsafe_b64encode(mark + text).decode().rstrip("=")


def _decode(resource: str, cursor: str) -> tuple[Pairs, int]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError) as error:
        raise unprocessable("The cursor is not valid.") from error
    mark, text = raw[:9], raw[9:]
    if not hmac.compare_digest(mark, hmac.new(_CURSOR_KEY, text, hashlib.sha256).digest()[:9]):
        raise unprocessable("The cursor is not valid.")
    made_for, pairs, last = json.loads(text)
    if made_for != resource:
        raise unprocessable("The cursor is not valid.")
    return [(str(name), str(value)) for name, value in pairs], int(last)
