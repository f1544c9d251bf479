"""Questions and orders of the administrator's commands, over the services' internal APIs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trellis.cli.environment import SERVICES, Clients
from trellis.cli.erasures import replayed_since
from trellis.cli.parking import Row, messages_of, rows_of
from trellis.cli.story import joined
from trellis.common.errors import InputError, PermanentError, TransientError
from trellis.common.store.outbox import SENT_AGAIN

EFFECT_SERVICES = ("greenhouse-actions", "assessments")


async def why(clients: Clients, application: int, account: str | None) -> dict[str, Any]:
    """Return the story of an application.

    Raises:
        InputError: Several accounts know this id and none was named.
        PermanentError: Nothing is known of it.
    """
    workflow = clients["workflow"]
    if account is None:
        accounts = await workflow.call("GET", f"/internal/v1/applications/{application}/accounts")
        if len(accounts) > 1:
            raise InputError(
                "--account", f"one of {', '.join(accounts)}", "several accounts have an application of this id"
            )
        if not accounts:
            raise PermanentError(f"nothing is known of application {application}")
        account = accounts[0]
    path = f"/internal/v1/accounts/{account}/applications/{application}"
    rows: list[dict[str, Any]] = []
    messages: list[Row] = []
    unreachable = []
    for service in SERVICES:
        try:
            answer = await clients[service].call(
                "GET", f"{_base(account)}/dead-letters?subject=application/{application}"
            )
            messages += messages_of(answer["dead_letters"], service)
        except TransientError:
            unreachable.append(service)
    story = await _story(clients, path, is_told_elsewhere=bool(messages))
    for service in EFFECT_SERVICES:
        try:
            answer = await clients[service].call("GET", f"{path}/intents")
            rows += answer["intents"] if isinstance(answer, dict) else answer
        except TransientError:
            if service not in unreachable:
                unreachable.append(service)
    told = [(row.since, row.unhandled, row.remedy) for row in messages]
    return {
        "account": account,
        "application": application,
        "steps": joined(story["steps"], rows, unreachable=unreachable, messages=told),
    }


async def _story(clients: Clients, path: str, *, is_told_elsewhere: bool) -> dict[str, Any]:
    """Return what the log tells of an application; nothing when all that is known are messages that could not be handled."""
    try:
        story: dict[str, Any] = await clients["workflow"].call("GET", f"{path}/story")
    except PermanentError as error:
        if is_told_elsewhere and "answered 404" in str(error):
            return {"steps": []}
        raise
    return story


async def redecide(clients: Clients, application: int, account: str) -> dict[str, Any]:
    """Decide a stream again and return how many decisions came out otherwise."""
    answer: dict[str, Any] = await clients["workflow"].call(
        "GET", f"/internal/v1/accounts/{account}/applications/{application}/redecide"
    )
    return answer


async def endpoints(clients: Clients, account: str | None) -> list[dict[str, Any]]:
    """Return the webhook addresses; a secret only the first time after it was made."""
    query = f"?account={account}" if account else ""
    answer: list[dict[str, Any]] = await clients["ingest"].call("GET", f"/internal/v1/endpoints{query}")
    return answer


async def rotate(clients: Clients, account: str, overlap_seconds: float) -> dict[str, Any]:
    """Make a new webhook secret beside the old one."""
    answer: dict[str, Any] = await clients["ingest"].call(
        "POST", f"/internal/v1/accounts/{account}/keys/rotate", {"overlap_seconds": overlap_seconds}
    )
    return answer


async def brake(
    clients: Clients, account: str, scope: str, name: str, *, on: bool, reason: str, by: str
) -> dict[str, str]:
    """Put a brake on both effect services or take it off, and return what each says; one may be away."""
    body = {"scope": scope, "name": name, "reason": reason, "by": by}
    method = "PUT" if on else "DELETE"

    async def order(service: str) -> str:
        try:
            await clients[service].call(method, f"/internal/v1/accounts/{account}/brakes", body)
        except TransientError as error:
            return str(error)
        return "done"

    said = await asyncio.gather(*(order(service) for service in EFFECT_SERVICES))
    return dict(zip(EFFECT_SERVICES, said, strict=True))


async def brakes(clients: Clients, account: str) -> dict[str, list[dict[str, Any]]]:
    """Return the brakes that are on, by effect service."""
    found = {}
    for service in EFFECT_SERVICES:
        answer = await clients[service].call("GET", f"/internal/v1/accounts/{account}/brakes")
        found[service] = answer["brakes"] if isinstance(answer, dict) else answer
    return found


async def parked(clients: Clients, account: str | None) -> list[Row]:
    """Return what waits for a person in all services, the oldest first; None is messages that do not say whose they are."""
    found: list[Row] = []
    for service in SERVICES:
        if account is not None and service in EFFECT_SERVICES:
            answer = await clients[service].call("GET", f"/internal/v1/accounts/{account}/parked")
            found += rows_of(answer["parked"], service)
        answer = await clients[service].call("GET", f"{_base(account)}/dead-letters")
        found += messages_of(answer["dead_letters"], service)
    return sorted(found, key=lambda row: row.since)


def _base(account: str | None) -> str:
    return "/internal/v1" if account is None else f"/internal/v1/accounts/{account}"


async def settle_all(
    clients: Clients, account: str | None, order: str, rows: Sequence[Row], *, by: str, reason: str
) -> dict[str, str]:
    """Give a person's word on each of *rows* and return what became of each; one that changed meanwhile stops nothing."""
    said = {}
    for row in rows:
        kind = "dead-letters" if row.is_message else "intents"
        path = f"{_base(account)}/{kind}/{row.id}/{order}"
        try:
            answer = await clients[row.service].call("POST", path, {"by": by, "reason": reason})
            said[row.id] = str(answer["state"])
        except PermanentError as error:
            said[row.id] = f"not done: {error}"
    return said


async def offers(clients: Clients, account: str) -> list[dict[str, Any]]:
    """Return the entries that no webhook told of in time and that wait for a person's yes, the oldest first."""
    found: list[dict[str, Any]] = await clients["workflow"].call("GET", f"/internal/v1/accounts/{account}/offers")
    return found


async def accept(clients: Clients, account: str, applications: Sequence[int]) -> dict[int, str]:
    """Say yes to the offered entries of *applications* and return what became of each."""
    said = {}
    for application in applications:
        try:
            await clients["workflow"].call("POST", f"/internal/v1/accounts/{account}/offers/{application}/accept")
            said[application] = "accepted: its rules are judged now"
        except PermanentError as error:
            if "404" not in str(error):
                raise
            said[application] = "skipped: no entry of it waits for a yes"
    return said


async def unmatched(clients: Clients, account: str) -> list[dict[str, Any]]:
    """Return the webhooks of Coderbyte that match no invite, each with whose it may be and why."""
    found = await clients["assessments"].call("GET", f"/internal/v1/accounts/{account}/unmatched")
    rows: list[dict[str, Any]] = found["unmatched"]
    return rows


async def order(
    clients: Clients,
    account: str,
    application: int,
    word: str,
    *,
    assessment: str | None = None,
    signal: str | None = None,
) -> str:
    """Order something about the invite of *application*'s present stage visit, and return that visit.

    Raises:
        PermanentError: The account has no such application, or it is in no stage.
    """
    path = f"/internal/v1/accounts/{account}/applications/{application}/orders"
    body = {"order": word, "assessment_id": assessment, "signal_id": signal}
    answer = await clients["workflow"].call("POST", path, body)
    return str(answer["visit"])


async def invite_links(clients: Clients, account: str, application: int) -> list[dict[str, Any]]:
    """Return the private links of an application's invites, the oldest first."""
    path = f"/internal/v1/accounts/{account}/applications/{application}/invite-links"
    answer = await clients["assessments"].call("GET", path)
    return list(answer["links"])


async def invites(clients: Clients, account: str, application: int) -> list[dict[str, Any]]:
    """Return how the invites of *application* stand, the oldest first."""
    path = f"/internal/v1/accounts/{account}/applications/{application}/intents"
    found = await clients["assessments"].call("GET", path)
    return [row for row in found["intents"] if row["action"] == "invite"]


async def reconciliation(clients: Clients, account: str) -> dict[str, Any]:
    """Return how far *account* was compared with Greenhouse.

    Raises:
        PermanentError: It never was.
    """
    found: dict[str, Any] = await clients["greenhouse-actions"].call(
        "GET", f"/internal/v1/accounts/{account}/reconciliation"
    )
    return found


async def reconcile_again(clients: Clients, account: str, since: datetime) -> bool:
    """Have *account* compared again from *since*; False when it is not compared that far yet."""
    path = f"/internal/v1/accounts/{account}/reconciliation"
    answer = await clients["greenhouse-actions"].call("POST", path, {"since": since.isoformat()})
    return bool(answer["set_back"])


async def restoration(clients: Clients) -> dict[str, Any]:
    """Return what each effect service says of restored mode, and which accounts were not compared since it began."""
    said = {service: await clients[service].call("GET", "/internal/v1/restoration") for service in EFFECT_SERVICES}
    began = max(
        (
            datetime.fromisoformat(one["restoration"]["found_at"])
            for one in said.values()
            if one["restoration"] is not None and one["restoration"]["ended_at"] is None
        ),
        default=None,
    )
    compared = await clients["greenhouse-actions"].call("GET", "/internal/v1/reconciliations")
    behind = [
        one["account"]
        for one in compared["reconciliations"]
        if began is not None and (one["completed_at"] is None or datetime.fromisoformat(one["completed_at"]) < began)
    ]
    replayed = began is None or await replayed_since(clients, began)
    return {"services": said, "is_on": began is not None, "not_compared": behind, "erasures_replayed": replayed}


async def end_restoration(clients: Clients, by: str) -> None:
    """End restored mode in both effect services; twice is once.

    Commands that were under way when the database was backed up are sent again before, so that none is lost.
    """
    found = [await clients[service].call("GET", "/internal/v1/restoration") for service in EFFECT_SERVICES]
    open_ones = [one["restoration"] for one in found if one["restoration"] and one["restoration"]["ended_at"] is None]
    as_of = [datetime.fromisoformat(one["as_of"]) for one in open_ones]
    if as_of:
        since = min(as_of) - SENT_AGAIN
        await clients["workflow"].call("POST", "/internal/v1/outbox/again", {"since": since.isoformat()})
    for service in EFFECT_SERVICES:
        await clients[service].call("DELETE", "/internal/v1/restoration", {"by": by})
