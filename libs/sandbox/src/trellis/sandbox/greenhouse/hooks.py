"""Greenhouse's webhooks: which event fires, how its body is escaped and signed, how it is redelivered.

Source: greenhouse.md sections 2.1, 2.2 and 2.4.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json

from trellis.sandbox.bodies import Json
from trellis.sandbox.deliveries import Delivery, Headers
from trellis.sandbox.faults import Fault
from trellis.sandbox.greenhouse.model import Application, Hook
from trellis.sandbox.greenhouse.payloads import application_payload, ping_payload
from trellis.sandbox.webhooks import dispatch
from trellis.sandbox.world import Account, World

EVENTS = (
    "candidate_stage_change",
    "new_candidate_application",
    "new_prospect_application",
    "application_updated",
    "reject_candidate",
    "unreject_candidate",
    "hire_candidate",
    "unhire_candidate",
    "update_candidate",
    "merge_candidate",
    "delete_candidate",
    "delete_application",
    "candidate_anonymized",
    "interview_deleted",
    "scorecard_deleted",
    "job_created",
    "job_updated",
    "job_deleted",
    "job_interview_stage_deleted",
)
"""Events a webhook can be registered for. Source: greenhouse.md section 2.3."""

_MINUTE = 60.0
SCHEDULES: dict[str, tuple[float, ...]] = {
    "2024_7": tuple(minutes * _MINUTE for minutes in (1, 15, 60, 120, 240, 480)),
    # Six attempts in seven hours; the vendor's waits had a random part, these are fixed.
    "2022_6": tuple(minutes * _MINUTE for minutes in (1, 15, 60, 120, 224)),
    "support_25": tuple(float(n**4 + 15) for n in range(24)),
}
"""Simulated seconds before each redelivery, by the switch `hook.schedule`."""


def escape(body: Json, style: str) -> bytes:
    """*body* as compact JSON, escaped as the switch `hook.escape` says."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=style == "html_and_unicode")
    if style != "none":
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8")


def signature(body: bytes, secret: str) -> str:
    """The `Signature` header: `sha256`, a space, the hexadecimal digest of the body's bytes."""
    return "sha256 " + hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()


def fire(account: Account, event: str, payload: Json) -> None:
    """Send *event* to every enabled webhook that is registered for it."""
    hooks = [h for h in account.greenhouse.hooks.values() if h.event == event and h.enabled]
    for hook in hooks:
        fault = account.webhook_faults.take(event, "greenhouse")
        body: Json = {"action": event, "payload": payload}
        dispatch(account, make_delivery(account, hook, event, body, fault), fault)


def fire_ping(account: Account, hook: Hook) -> Delivery:
    """Send the ping that saving a webhook sends; it is tried once."""
    delivery = make_delivery(account, hook, "ping", {"action": "ping", "payload": ping_payload(hook)}, None)
    delivery.waits = ()
    dispatch(account, delivery, None)
    return delivery


def fire_stage_change(account: Account, application: Application) -> None:
    """Fire `candidate_stage_change` with the new stage."""
    payload: Json = {"application": application_payload(account.greenhouse, application)}
    fire(account, "candidate_stage_change", payload)


def fire_updated(account: Account, application: Application) -> None:
    """Fire `application_updated` with the application as it is now."""
    fire(account, "application_updated", {"application": application_payload(account.greenhouse, application)})


def fire_transfer(account: Account, application: Application) -> None:
    """Fire what a transfer to another job fires, by the switch `hook.transfer_fires`."""
    which = account.switches.text("hook.transfer_fires")
    payload: Json = {"application": application_payload(account.greenhouse, application)}
    if which in ("both", "application_updated"):
        fire(account, "application_updated", payload)
    if which in ("both", "stage_change"):
        fire(account, "candidate_stage_change", payload)


def make_delivery(account: Account, hook: Hook, event: str, body: Json, fault: Fault | None) -> Delivery:
    """A delivery of *body* to *hook*, spoiled by *fault*; nothing is sent yet."""
    switches = account.switches
    raw = escape(_spoil(body, fault), switches.text("hook.escape"))
    scale = max(switches.number("hook.time_scale"), 1e-9)
    any_2xx = switches.text("hook.success") == "any_2xx"
    first_id = _event_id(account.world)
    ids: dict[int, str] = {1: first_id}

    def headers(attempt: int) -> tuple[Headers, str | None]:
        new_id = switches.text("hook.event_id_on_retry") == "new"
        event_id = ids.setdefault(attempt, _event_id(account.world) if new_id else first_id)
        found: Headers = [("Content-Type", "application/json"), ("Greenhouse-Event-ID", event_id)]
        return [*hook.extra_headers, *found, *_signature_headers(raw, hook.secret, fault)], event_id

    return Delivery(
        id=account.world.dispatcher.next_id(),
        vendor="greenhouse",
        event=event,
        url=hook.url,
        body=raw,
        headers=headers,
        waits=tuple(wait / scale for wait in SCHEDULES[switches.text("hook.schedule")]),
        is_success=(lambda status: 200 <= status < 300) if any_2xx else (lambda status: status == 200),
        timeout_s=switches.number("hook.timeout_s"),
        hook_id=hook.id,
        fault=fault.kind if fault else None,
    )


def _event_id(world: World) -> str:
    world.event_count += 1
    return str(7_000_000_000 + world.event_count)


def _signature_headers(body: bytes, secret: str, fault: Fault | None) -> Headers:
    value = signature(body, secret)
    match fault.kind if fault else None:
        case "wrong_secret":
            return [("Signature", signature(body, secret + "-wrong"))]
        case "wrong_case":
            return [("Signature", value.upper())]
        case "missing_signature":
            return []
        case "doubled_signature":
            return [("Signature", value), ("Signature", value)]
        case _:
            return [("Signature", value)]


def _spoil(body: Json, fault: Fault | None) -> Json:
    if fault is None:
        return body
    spoiled = copy.deepcopy(body)
    payload = spoiled["payload"]
    application = payload.get("application") if isinstance(payload, dict) else None
    candidate = application.get("candidate") if isinstance(application, dict) else None
    if fault.kind == "unknown_action":
        spoiled["action"] = "candidate_teleported"
    if fault.kind == "extra_fields":
        for part in (spoiled, payload, application, candidate):
            if isinstance(part, dict):
                part["field_of_the_future"] = {"nested": [1, None, "x"]}
    if fault.kind == "empty_emails" and isinstance(candidate, dict):
        candidate["email_addresses"] = []
    if fault.kind == "null_source" and isinstance(application, dict):
        application["source"] = None
    if fault.kind == "empty_jobs" and isinstance(application, dict):
        application["jobs"] = []
    return spoiled
