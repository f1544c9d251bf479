"""Parts of a made-up account: what its webhooks, effects and stories look like from outside."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from faults.oracle_of_poison import Kept, Listed
from faults.poison import Poison

Json = dict[str, Any]
T0 = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
APPLICATION, WATCHED, ONSITE, USER = 7, 30, 40, 5
EMAIL = "ann@one.example"


def at(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).isoformat()


def delivery(vendor: str, event: str, body: Json, status: int | None = 200, retry_after: str | None = None) -> Json:
    attempt = {"at": at(0), "event_id": "1", "status": status, "error": None, "retry_after": retry_after}
    return {"vendor": vendor, "event": event, "attempts": [attempt], "body": json.dumps(body)}


def stage_change(stage: int = WATCHED, status: int | None = 200, retry_after: str | None = None) -> Json:
    application = {"id": APPLICATION, "current_stage": {"id": stage}}
    body = {"payload": {"application": application}}
    return delivery("greenhouse", "candidate_stage_change", body, status, retry_after)


def invite(seconds: float = 2.0, email: str = EMAIL) -> Json:
    return {"email": email, "assessment_id": "a", "at": at(seconds), "mailed": True, "application_ids": [APPLICATION]}


def note(seconds: float = 20.0, reference: str = "tr-1") -> Json:
    body = f"82 of 100\n[ref {reference}]"
    return {"id": 1, "application_id": APPLICATION, "user_id": USER, "body": body, "at": at(seconds)}


def move(seconds: float, by: str = "person", to: int = WATCHED) -> Json:
    return {"application_id": APPLICATION, "from_stage_id": 1, "to_stage_id": to, "at": at(seconds), "by": by}


def step(kind: str, text: str = "", **more: Any) -> Json:
    return {"at": at(1), "kind": kind, "text": text, "effect": None, "outcome": None, "reason": None} | more


def command(effect: str, ident: str, outcome: str = "done", **more: Any) -> list[Json]:
    known = {"effect": effect, "command_id": ident}
    known |= {name: more[name] for name in ("visit", "version") if name in more}
    return [
        step("command", f"{effect} asked for", **known),
        step("outcome", f"{effect} {outcome}", outcome=outcome, until=None, state=outcome, **known) | more,
    ]


def poison(service: str = "workflow", kind: str = "misfit", account: str | None = "one", **more: Any) -> Poison:
    name = f"{service} {kind}"
    return replace(
        Poison(service=service, kind=kind, account=account, routing_key="x.v1", body=name.encode(), at=0.5, copies=1),
        **more,
    )


def kept(of: Poison, **more: Any) -> Kept:
    row = Kept(id=f"id of {of.body.decode()}", service=of.service, queue=of.queue, reason="why", body=of.body)
    return replace(row, **more)


def listed(row: Kept, account: str | None = "one", **more: Any) -> Listed:
    return replace(Listed(id=row.id, service=row.service, account=account, cause=row.reason, remedy="drop it"), **more)
