"""Coderbyte's REST API: assessments, invite, one candidate, report.

Source: coderbyte.md sections 1 and 3.1 to 3.4; error bodies are assumed, section 9.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.coderbyte.reports import report
from trellis.sandbox.coderbyte.state import Assessment
from trellis.sandbox.gate import TRACE, WORLD, admit, carry_out
from trellis.sandbox.world import Account

MAX_CANDIDATES = 50
"""Most addresses in one invite; the dashboard's limit. Source: coderbyte.md section 3.2."""

BASE = "/coderbyte/api"
_EMAIL = re.compile(r"^[^@\s()]+@[^@\s()]+$")
_WITH_ID = re.compile(r"^(\S+) \(([^()]+)\)$")

Effect = Callable[[Account, web.Request, bytes], web.Response]


class ApiError(Exception):
    """A refusal with the assumed body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> web.Response:
        """The answer as it goes out."""
        return web.json_response({"status": "error", "message": self.message}, status=self.status)


def add_routes(app: web.Application) -> None:
    """Mount the API below `/coderbyte/api`."""
    app.router.add_get(f"{BASE}/organization/assessments", guarded("assessments.list", list_assessments))
    app.router.add_post(f"{BASE}/organization/candidates/invite", guarded("invite", invite))
    # The path is split before it is decoded: an address may hold an encoded slash.
    app.router.add_get(BASE + "/organization/candidates/{rest:.+}", _candidate_route)
    app.router.add_route("*", BASE + "/{rest:.*}", guarded("unknown", _no_such_route))


def guarded(name: str, effect: Effect) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Run *effect* for the organization whose key the call carries."""

    async def handle(request: web.Request) -> web.Response:
        request[TRACE].route = name
        body = await request.read()
        world = request.app[WORLD]
        values = request.headers.getall("Authorization", [])
        scheme, _, key = (values[0] if len(values) == 1 else "").partition(" ")
        account = world.by_api_key(key.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            statuses = [a.switches.integer("coderbyte.error.bad_key") for a in world.accounts.values()]
            status = next((s for s in statuses if s != 401), 401)
            return ApiError(status, "Invalid API key").response()
        fault = admit(request, account, name)

        def respond() -> web.Response:
            try:
                return effect(account, request, body)
            except ApiError as error:
                return error.response()

        return await carry_out(request, fault, respond)

    return handle


def list_assessments(account: Account, _request: web.Request, _body: bytes) -> web.Response:
    """3.1: the whole list in one answer."""
    found = [_assessment(account, a) for a in account.coderbyte.assessments.values()]
    return _success({"assessments": found})


def invite(account: Account, _request: web.Request, body: bytes) -> web.Response:
    """3.2: a private link for each address, and a mail unless `skip_send`. All or none."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise ApiError(400, "The body is not JSON") from error
    if not isinstance(fields, dict):
        raise ApiError(400, "The body is not an object")
    candidates = fields.get("candidates")
    url, skip_send = fields.get("assessment_url"), fields.get("skip_send", False)
    if not isinstance(candidates, list) or not 1 <= len(candidates) <= MAX_CANDIDATES:
        raise ApiError(400, f"candidates must be a list of 1 to {MAX_CANDIDATES} addresses")
    if not isinstance(skip_send, bool):
        raise ApiError(400, "skip_send must be a boolean")
    assessment = account.coderbyte.by_url(url) if isinstance(url, str) else None
    if assessment is None:
        raise ApiError(account.switches.integer("coderbyte.error.unknown_link"), "Unknown assessment URL")
    if assessment.closed:
        raise ApiError(account.switches.integer("coderbyte.error.closed_assessment"), "The assessment is closed")
    return _invite_all(account, assessment, [_address(account, c) for c in candidates], skip_send)


def read_candidate(account: Account, email: str) -> web.Response:
    """3.3: the assessments of one address; unstarted ones only by a switch."""
    coderbyte = account.coderbyte
    attempts = coderbyte.attempts_of(email)
    found: list[Json] = [
        {"test_id": a.assessment_id, "status": a.status, "date_joined": iso_milliseconds(a.joined_at)} for a in attempts
    ]
    if account.switches.flag("coderbyte.lookup.lists_pending_invites"):
        started = {a.assessment_id for a in attempts}
        pending = {i.assessment_id for i in coderbyte.invites_of(email)} - started
        found += [{"test_id": test_id, "status": "Invited"} for test_id in sorted(pending)]
    if not found and _is_unknown(account, email):
        raise ApiError(404, "Candidate not found")
    if account.switches.text("coderbyte.lookup.shape") == "array":
        return web.json_response({"status": "success", "data": found})
    return _success({"assessments": found})


def read_report(account: Account, email: str, assessment_id: str) -> web.Response:
    """3.4: one report an attempt."""
    coderbyte, switches = account.coderbyte, account.switches
    assessment = coderbyte.assessments.get(assessment_id)
    if assessment is None:
        raise ApiError(404, "Assessment not found")
    attempts = coderbyte.attempts_of(email, assessment_id)
    if not attempts and _is_unknown(account, email):
        raise ApiError(404, "Candidate not found")
    reports: list[Json] = []
    for attempt in attempts:
        if attempt.is_finished and attempt.empty_reads > 0:
            attempt.empty_reads -= 1
        elif not switches.flag("coderbyte.report.empty"):
            reports.append(report(attempt, assessment, switches))
    if switches.text("coderbyte.report.attempt_order") == "newest_first":
        reports.reverse()
    return _success({"reports": reports})


async def _candidate_route(request: web.Request) -> web.Response:
    """Split the raw path, decode each segment once, and pick 3.3 or 3.4."""
    raw = request.raw_path.partition("?")[0].removeprefix(f"{BASE}/organization/candidates/")
    segments = [unquote(segment) for segment in raw.split("/")]
    match segments:
        case [email]:
            return await guarded("candidate", lambda account, _r, _b: read_candidate(account, email))(request)
        case [email, test_id]:
            return await guarded("report", lambda account, _r, _b: read_report(account, email, test_id))(request)
        case _:
            return await guarded("unknown", _no_such_route)(request)


def _invite_all(
    account: Account, assessment: Assessment, people: list[tuple[str, str | None]], skip_send: bool
) -> web.Response:
    coderbyte, switches = account.coderbyte, account.switches
    if switches.text("coderbyte.invite.duplicate_behaviour") == "error":
        for email, _ in people:
            if coderbyte.invites_of(email, assessment.test_id):
                raise ApiError(409, "Candidate already invited")
    mail = not (skip_send and switches.text("coderbyte.invite.skip_send") == "works")
    sent = [coderbyte.invite(email, assessment, mail=mail, internal_id=i) for email, i in people]
    answer: list[Json] = [{"email": invite.email, "url": invite.url} for invite in sent]
    return _success({"candidates": answer, "test_id": assessment.test_id})


def _address(account: Account, candidate: object) -> tuple[str, str | None]:
    if not isinstance(candidate, str):
        raise ApiError(400, "candidates must be addresses")
    internal_id: str | None = None
    marked = _WITH_ID.match(candidate.strip())
    if marked and account.switches.text("coderbyte.invite.internal_id_mode") == "parentheses":
        candidate, internal_id = marked.group(1), marked.group(2)
    if not _EMAIL.match(candidate.strip()):
        raise ApiError(400, "Invalid email address")
    return candidate.strip(), internal_id


def _is_unknown(account: Account, email: str) -> bool:
    """Whether 404 is due for an address.

    If pending invites are not shown, an address that was only invited reads exactly like one never heard of.
    """
    if account.switches.text("coderbyte.lookup.unknown_candidate") == "empty":
        return False
    if account.coderbyte.attempts_of(email):
        return False
    shows_invites = account.switches.flag("coderbyte.lookup.lists_pending_invites")
    return not (shows_invites and account.coderbyte.invites_of(email))


def _assessment(account: Account, assessment: Assessment) -> Json:
    attempts = [a for a in account.coderbyte.attempts if a.assessment_id == assessment.test_id]
    stats: Json = {
        "total": len([i for i in account.coderbyte.invites if i.assessment_id == assessment.test_id]),
        "assessed": len([a for a in attempts if a.is_finished]),
        "qualified": len([a for a in attempts if a.qualified]),
        "challenge_count": 3,
        "open_ended_count": 0,
        "multiple_choice_count": 8,
        "project_count": 0,
        "candidates_cheated_count": 0,
        "created_by_email": "talent@example.org",
        "ratings": {"up": 0, "down": 0},
        "qualifying_score": assessment.qualifying_score,
        "email_template_id": "",
        "welcome_template_id": "",
        "code_editor_template_id": "",
    }
    return {
        "display_name": assessment.display_name,
        "test_id": assessment.test_id,
        "closed": assessment.closed,
        "created_date": iso_milliseconds(assessment.created_at),
        "public_url": assessment.public_url,
        "workspaces": ["Engineering"],
        "overview_stats": stats,
    }


def _success(data: Json) -> web.Response:
    return web.json_response({"status": "success", "data": data})


def _no_such_route(_account: Account, _request: web.Request, _body: bytes) -> web.Response:
    raise ApiError(404, "Not found")
