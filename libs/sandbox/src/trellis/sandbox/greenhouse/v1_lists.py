"""Harvest v1's readings: lists with pages behind `Link`, and single records.

Parameters that v1 does not know are ignored, so a misspelt filter filters nothing. Source: greenhouse.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import parse_instant
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse import v1_rows as rows
from trellis.sandbox.greenhouse.model import Application, Candidate, Job, Stage
from trellis.sandbox.greenhouse.state import Greenhouse
from trellis.sandbox.greenhouse.v1_answers import invalid, not_found
from trellis.sandbox.world import Account

MAX_PER_PAGE = 500
DEFAULT_PER_PAGE = 100
MAX_IDS = 50
_STATUSES = ("active", "converted", "hired", "rejected")

Query = Mapping[str, str]


def list_applications(account: Account, request: web.Request, fault: Fault | None) -> web.Response:
    """`GET /applications`; there is no `updated_after`."""
    greenhouse, query = account.greenhouse, _query(request, fault)
    status = query.get("status")
    found = [
        a
        for a in _visible(greenhouse)
        if _after(query, "created_after", a.created_at)
        and _before(query, "created_before", a.created_at)
        and _after(query, "last_activity_after", a.last_activity_at)
        and (status is None or (status in _STATUSES and a.status == status))
        and _is(query, "job_id", a.job_id)
    ]
    return _page(request, [rows.application_row(greenhouse, greenhouse.shown(a)[0]) for a in found])


def get_application(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /applications/{id}`."""
    application = find_application(account, request)
    return web.json_response(rows.application_row(account.greenhouse, account.greenhouse.shown(application)[0]))


def list_candidates(account: Account, request: web.Request, fault: Fault | None) -> web.Response:
    """`GET /candidates`."""
    greenhouse, query = account.greenhouse, _query(request, fault)
    wanted = query.get("candidate_ids")
    ids = None if wanted is None else _ids("candidate_ids", wanted)
    email = query.get("email")
    found = [
        c
        for c in greenhouse.candidates.values()
        if (ids is None or c.id in ids)
        and (email is None or c.has_email(email))
        and _after(query, "created_after", c.created_at)
        and _before(query, "created_before", c.created_at)
        and _after(query, "updated_after", c.updated_at)
        and _before(query, "updated_before", c.updated_at)
        and ("job_id" not in query or any(_is(query, "job_id", a.job_id) for a in greenhouse.applications_of(c.id)))
    ]
    return _page(request, [rows.candidate_row(greenhouse, c) for c in found])


def get_candidate(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /candidates/{id}`; a merged or deleted one is not found."""
    return web.json_response(rows.candidate_row(account.greenhouse, find_candidate(account, request)))


def get_activity_feed(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /candidates/{id}/activity_feed`, all at once."""
    return web.json_response(rows.activity_feed(account.greenhouse, find_candidate(account, request)))


def list_jobs(account: Account, request: web.Request, fault: Fault | None) -> web.Response:
    """`GET /jobs`."""
    query = _query(request, fault)
    status = query.get("status")
    jobs = [job for job in _jobs(account.greenhouse) if status is None or job.status == status]
    return _page(request, [rows.job_row(job) for job in jobs])


def get_job(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /jobs/{id}`; a confidential one is not found."""
    return web.json_response(rows.job_row(_find_job(account, request)))


def list_job_stages(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /jobs/{id}/stages`."""
    job = _find_job(account, request)
    return _page(request, [rows.stage_row(s) for s in _stages(account.greenhouse) if s.job_id == job.id])


def list_stages(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /job_stages`, of all jobs."""
    return _page(request, [rows.stage_row(stage) for stage in _stages(account.greenhouse)])


def get_user(account: Account, request: web.Request, _fault: Fault | None) -> web.Response:
    """`GET /users/{id}`."""
    user = account.greenhouse.users.get(_id(request))
    if user is None or user.service_account:
        raise not_found()
    return web.json_response(rows.user_row(user))


def find_application(account: Account, request: web.Request) -> Application:
    """The application in the path; raises `V1Refusal` (404) if it is not shown."""
    application = account.greenhouse.applications.get(_id(request))
    if application is None or account.greenhouse.is_hidden(application):
        raise not_found()
    return application


def find_candidate(account: Account, request: web.Request) -> Candidate:
    """The candidate in the path; raises `V1Refusal` (404) if there is none."""
    candidate = account.greenhouse.candidates.get(_id(request))
    if candidate is None:
        raise not_found()
    return candidate


def _find_job(account: Account, request: web.Request) -> Job:
    job = account.greenhouse.jobs.get(_id(request))
    if job is None or job.confidential:
        raise not_found()
    return job


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _visible(greenhouse: Greenhouse) -> Iterable[Application]:
    return (a for a in greenhouse.applications.values() if not greenhouse.is_hidden(a))


def _jobs(greenhouse: Greenhouse) -> list[Job]:
    return [job for job in greenhouse.jobs.values() if not job.confidential]


def _stages(greenhouse: Greenhouse) -> list[Stage]:
    shown = {job.id for job in _jobs(greenhouse)}
    return [stage for stage in greenhouse.stages.values() if stage.job_id in shown]


def _query(request: web.Request, fault: Fault | None) -> Query:
    return {} if fault is not None and fault.kind == "filter_ignored" else dict(request.query)


def _page(request: web.Request, found: list[Json]) -> web.Response:
    """One page of *found*; `Link` names the next, the previous and, unless `skip_count=true`, the last one."""
    size, number = _whole(request, "per_page", DEFAULT_PER_PAGE), _whole(request, "page", 1)
    if size > MAX_PER_PAGE:
        raise invalid("per_page", f"Must be from 1 to {MAX_PER_PAGE}")
    last = max(1, -(-len(found) // size))
    links = {"next": number + 1} if number < last else {}
    if number > 1:
        links["prev"] = number - 1
    if last > 1 and request.query.get("skip_count") != "true":
        links["last"] = last
    response = web.json_response(found[(number - 1) * size : number * size])
    if links:
        address = request.url.origin().join(request.rel_url)
        texts = [f'<{address.update_query(page=str(page))}>; rel="{name}"' for name, page in links.items()]
        response.headers["Link"] = ",".join(texts)
    return response


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise invalid(name, "Must be a whole number from 1")
    return int(text)


def _ids(name: str, value: str) -> set[int]:
    parts = value.split(",")
    if len(parts) > MAX_IDS or not all(part.isascii() and part.isdigit() for part in parts):
        raise invalid(name, f"Must be at most {MAX_IDS} ids")
    return {int(part) for part in parts}


def _is(query: Query, name: str, value: int | None) -> bool:
    return name not in query or query[name] == str(value)


def _after(query: Query, name: str, at: datetime) -> bool:
    return _compare(query, name, lambda bound: at >= bound)


def _before(query: Query, name: str, at: datetime) -> bool:
    return _compare(query, name, lambda bound: at < bound)


def _compare(query: Query, name: str, holds: Callable[[datetime], bool]) -> bool:
    if name not in query:
        return True
    try:
        return holds(parse_instant(query[name]))
    except ValueError as error:
        raise invalid(name, "Must be an ISO 8601 time") from error
