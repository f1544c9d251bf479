"""Coderbyte's webhooks: the signed token, the bodies, delivery.

Source: coderbyte.md sections 4.1 and 4.2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from trellis.sandbox.bodies import Json
from trellis.sandbox.coderbyte.state import AssessmentAttempt
from trellis.sandbox.deliveries import Delivery, Headers
from trellis.sandbox.faults import Fault
from trellis.sandbox.webhooks import dispatch
from trellis.sandbox.world import Account

OPERATIONS = ("candidate_joined", "assessment_completed", "scorecard_updated", "interview_completed")
TIMEOUT_S = 5.0
"""Assumed: nothing is published."""
RETRY_WAIT_S = 60.0
"""Simulated seconds between attempts, if the switch `coderbyte.webhook.retries` allows any."""


def sign_token(claims: Json, key: bytes, algorithm: str = "HS256") -> str:
    """A JWT over *claims*; for the algorithm `none` the signature is empty."""
    header = {"alg": algorithm, "typ": "JWT"}
    signed = f"{_segment(header)}.{_segment(claims)}"
    if algorithm == "none":
        return signed + "."
    digest = hmac.new(key, signed.encode("ascii"), hashlib.sha256).digest()
    return f"{signed}.{_base64(digest)}"


def fire_joined(account: Account, attempt: AssessmentAttempt) -> None:
    """A candidate began; the body has no report URL."""
    fire(account, "candidate_joined", attempt.email, {"assessment_id": attempt.assessment_id})


def fire_completed(account: Account, attempt: AssessmentAttempt, *, report_ready: bool) -> None:
    """A candidate submitted, or the time ran out."""
    fields: Json = {
        "time_expired": attempt.status == "Time expired",
        "report_ready": report_ready,
        "report_url": attempt.report_url,
        "assessment_id": attempt.assessment_id,
    }
    if account.switches.text("coderbyte.webhook.completed_body") == "challenges_being_graded":
        del fields["report_ready"]
        fields["challenges_being_graded"] = not report_ready
    fire(account, "assessment_completed", attempt.email, fields)


def fire(account: Account, operation: str, email: str, fields: Json) -> None:
    """Send *operation* to the URL that is set for it, if any."""
    url = account.coderbyte.webhook_urls.get(operation)
    if url is None:
        return
    fault = account.webhook_faults.take(operation, "coderbyte")
    body: Json = {
        "operation": operation,
        "organization_id": account.coderbyte.organization_id,
        "email": email,
        **fields,
    }
    if fault is not None and fault.kind == "unknown_action":
        body["operation"] = "candidate_teleported"
    if fault is not None and fault.kind == "extra_fields":
        body["field_of_the_future"] = {"nested": [1, None, "x"]}
    dispatch(account, _delivery(account, url, operation, body, fault), fault)


def _delivery(account: Account, url: str, operation: str, body: Json, fault: Fault | None) -> Delivery:
    switches = account.switches
    wait = RETRY_WAIT_S / max(switches.number("hook.time_scale"), 1e-9)
    return Delivery(
        id=account.world.dispatcher.next_id(),
        vendor="coderbyte",
        event=operation,
        url=url,
        body=json.dumps(body, separators=(",", ":")).encode("utf-8"),
        headers=lambda _attempt: (_headers(account, fault), None),
        waits=(wait,) * switches.integer("coderbyte.webhook.retries"),
        is_success=lambda status: 200 <= status < 300,
        timeout_s=TIMEOUT_S,
        fault=fault.kind if fault else None,
    )


def _headers(account: Account, fault: Fault | None) -> Headers:
    found: Headers = [("Content-Type", "application/json")]
    token = ("Authorization", f"Bearer {_token(account, wrong_key=_is(fault, 'wrong_secret'))}")
    if _is(fault, "missing_signature"):
        return found
    if _is(fault, "wrong_case"):
        token = ("Authorization", token[1].replace("Bearer", "BEARER"))
    return [*found, token, token] if _is(fault, "doubled_signature") else [*found, token]


def _token(account: Account, *, wrong_key: bool) -> str:
    switches = account.switches
    how = switches.text("coderbyte.webhook.signature")
    now = int(account.coderbyte.clock.now().timestamp())
    organization = account.coderbyte.organization_id
    claims: Json = {"iss": f"{organization}-other" if how == "wrong_iss" else organization}
    if switches.flag("coderbyte.webhook.iat"):
        claims["iat"] = now
    expiry = switches.text("coderbyte.webhook.exp")
    if expiry != "absent":
        claims["exp"] = now + (3600 if expiry == "future" else -3600)
    key = account.coderbyte.api_key
    if how == "wrong_key" or wrong_key:
        key += "-wrong"
    is_base64 = switches.text("coderbyte.webhook.key_encoding") == "base64"
    raw = _decoded(key) if is_base64 else key.encode("utf-8")
    return sign_token(claims, raw, "none" if how == "alg_none" else "HS256")


def _decoded(key: str) -> bytes:
    """The key's bytes if it is read as base64; signs outside the alphabet are skipped, as lenient decoders do."""
    signs = "".join(sign for sign in key if sign.isascii() and (sign.isalnum() or sign in "+/"))
    whole = signs[:-1] if len(signs) % 4 == 1 else signs
    return base64.b64decode(whole + "=" * (-len(whole) % 4))


def _is(fault: Fault | None, kind: str) -> bool:
    return fault is not None and fault.kind == kind


def _segment(part: Json | dict[str, str]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode("utf-8"))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
