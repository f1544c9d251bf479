"""What the drivers of people have in common: finding the account's records from a request, and silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.greenhouse.model import Application, Candidate, Job, Stage
from trellis.sandbox.world import Account

Verb: TypeAlias = Callable[[Account, Body], Json]
"""One act of a person: changes the account, fires what it fires, returns what is worth knowing."""


def find_application(account: Account, body: Body) -> Application:
    """The application that `application_id`, or `email` (and `job`), names; by e-mail the newest.

    Raises:
        ControlError: 404, there is none.
    """
    greenhouse = account.greenhouse
    number = body.optional_integer("application_id")
    if number is not None:
        if number not in greenhouse.applications:
            raise ControlError(f"no application {number}", 404)
        return greenhouse.applications[number]
    found = greenhouse.by_email(body.text("email"))
    if body.has("job"):
        job = find_job(account, body)
        found = [a for a in found if a.job_id == job.id]
    if not found:
        raise ControlError("no application of that address", 404)
    return found[-1]


def find_candidate(account: Account, body: Body) -> Candidate:
    """The person that `candidate_id`, `application_id` or `email` names; raises `ControlError`."""
    greenhouse = account.greenhouse
    number = body.optional_integer("candidate_id")
    if number is not None:
        if number not in greenhouse.candidates:
            raise ControlError(f"no candidate {number}", 404)
        return greenhouse.candidates[number]
    if body.optional_integer("application_id") is None:
        email = body.text("email")
        people = [c for c in greenhouse.candidates.values() if c.has_email(email)]
        if not people:
            raise ControlError("no candidate of that address", 404)
        return people[-1]
    return greenhouse.candidates[find_application(account, body).candidate_id]


def find_job(account: Account, body: Body, field: str = "job") -> Job:
    """The job that *field* names by id or name; absent, the oldest open one. Raises `ControlError`."""
    jobs = list(account.greenhouse.jobs.values())
    if not body.has(field):
        jobs = [job for job in jobs if job.status == "open"]
    else:
        wanted = body.text(field)
        jobs = [job for job in jobs if wanted in (str(job.id), job.name)]
    if not jobs:
        raise ControlError("no such job", 404)
    return jobs[0]


def find_stage(account: Account, body: Body, job_id: int | None, field: str = "stage") -> Stage:
    """The stage of the job that *field* names by id or name; raises `ControlError`."""
    wanted = body.text(field)
    stages = [s for s in account.greenhouse.stages.values() if s.job_id == job_id]
    found = [s for s in stages if wanted in (str(s.id), s.name)]
    if not found:
        raise ControlError(f"no stage '{wanted}' in that job", 404)
    return next((s for s in found if s.active), found[0])


def addresses(values: list[object] | None, kind: str) -> list[dict[str, str]]:
    """Addresses given as texts, or as {value, type}."""
    result: list[dict[str, str]] = []
    for value in values or []:
        if isinstance(value, str):
            result.append({"value": value, "type": kind})
        else:
            fields = Body.of(value)
            result.append({"value": fields.text("value"), "type": fields.text("type", kind)})
    return result


def tell_application(account: Account, application: Application) -> Json:
    """An application in a few words, as every verb answers."""
    stage = application.stage
    candidate = account.greenhouse.candidates[application.candidate_id]
    email = candidate.email_addresses[0]["value"] if candidate.email_addresses else None
    return {
        "application_id": application.id,
        "candidate_id": application.candidate_id,
        "job_id": application.job_id,
        "stage_id": stage.id if stage else None,
        "stage_name": stage.name if stage else None,
        "stage_row_id": application.row_id,
        "status": application.status,
        "email": email,
    }
