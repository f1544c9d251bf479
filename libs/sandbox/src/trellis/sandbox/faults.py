"""Faults on demand: what happens to the n-th call of a route, or to the next webhooks.

Source: greenhouse.md section 9 and coderbyte.md section 9, fault switches.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from trellis.sandbox.bodies import Body, ControlError, Json

ROUTES = (
    "token",
    "introspect",
    "applications.list",
    "application_stages.list",
    "job_interview_stages.list",
    "candidates.list",
    "jobs.list",
    "openings.list",
    "job_posts.list",
    "users.list",
    "notes.list",
    "scorecards.list",
    "interviews.list",
    "interviewers.list",
    "job_interviews.list",
    "move",
    "notes.create",
    "applications.update",
    "v1.applications.list",
    "v1.applications.retrieve",
    "v1.candidates.list",
    "v1.candidates.retrieve",
    "v1.activity_feed.retrieve",
    "v1.jobs.list",
    "v1.jobs.retrieve",
    "v1.job_stages.list_for_job",
    "v1.job_stages.list",
    "v1.users.retrieve",
    "v1.applications.move",
    "v1.applications.advance",
    "v1.applications.transfer_to_job",
    "v1.notes.create",
    "v1.applications.update",
    "assessments.list",
    "invite",
    "candidate",
    "report",
)
"""Names of all routes a fault can be set on; also the keys of the call counts."""

CALL_FAULTS: dict[str, str] = {
    "429": "refused before the effect; with `retry_after` (seconds) the header is sent",
    "500": "HTML, before the effect",
    "502": "HTML, before the effect",
    "500_after": "HTML, after the effect",
    "502_after": "HTML, after the effect",
    "503": "before the effect, with Retry-After (`retry_after`, default 1)",
    "hang": "nothing happens for `seconds` (default 30), then the call is carried out and answered",
    "hang_cut": "nothing happens for `seconds`, then the connection is cut without effect",
    "hang_after": "the effect happens at once, the answer comes after `seconds`",
    "cut_before": "the connection is cut, nothing was done",
    "cut_after": "the effect happens, the answer is lost",
    "truncated_json": "the effect happens, the answer's JSON stops in the middle",
    "204_without_effect": "answered with 204, nothing was done",
    "token_revoked": "Greenhouse: the token (v1: the key) is not known any more; 401, nothing was done",
    "cursor_expired": "Greenhouse lists: 422 for the cursor",
    "filter_ignored": "Greenhouse lists: 200 with unfiltered rows",
}

WEBHOOK_FAULTS: dict[str, str] = {
    "drop": "never sent",
    "duplicate": "sent `copies` more times (default 1) with the same event id",
    "delay": "sent after `seconds` (default 1)",
    "reorder": "sent after the next webhook of the account",
    "wrong_secret": "signed with another secret or key",
    "wrong_case": "signature in upper case (which is valid)",
    "missing_signature": "no signature header",
    "doubled_signature": "the signature header twice",
    "extra_fields": "unknown fields on each level",
    "unknown_action": "an action or operation nobody knows",
    "empty_emails": "Greenhouse: no e-mail addresses",
    "null_source": "Greenhouse: source null",
    "empty_jobs": "Greenhouse: jobs []",
}


@dataclass
class Fault:
    """One queued fault.

    It is due on the *nth* call of its route after it was queued, and on the following ones until it has been used
    *count* times. If two faults are due on one call, the later one waits for the next call.
    """

    route: str
    """A route's name or a pattern with `*`; for webhooks the event's name."""
    kind: str
    nth: int = 1
    remaining: int = 1
    """How often it will still be used; negative means for ever."""
    retry_after: int | None = None
    seconds: float = 30.0
    copies: int = 1
    vendor: str = "*"
    """Webhooks only: `greenhouse`, `coderbyte` or both."""
    seen: int = 0

    def describe(self) -> Json:
        """The fault as JSON."""
        return {
            "route": self.route,
            "kind": self.kind,
            "nth": self.nth,
            "remaining": self.remaining,
            "seen": self.seen,
        }


class FaultQueue:
    """The faults that wait for calls or webhooks of one account."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue *fault* behind the others."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget all of them."""
        self._faults.clear()

    def describe(self) -> list[Json]:
        """Those still waiting."""
        return [fault.describe() for fault in self._faults]

    def take(self, route: str, vendor: str = "*") -> Fault | None:
        """The fault for this call, if one is due."""
        taken: Fault | None = None
        for fault in self._faults:
            if not fnmatchcase(route, fault.route) or fault.vendor not in ("*", vendor):
                continue
            fault.seen += 1
            if taken is None and fault.seen >= fault.nth:
                taken = fault
        if taken is not None and taken.remaining > 0:
            taken.remaining -= 1
            if taken.remaining == 0:
                self._faults.remove(taken)
        return taken


def call_fault(body: Body) -> Fault:
    """Read a fault for calls from a control request; raises `ControlError`."""
    fault = _read(body, CALL_FAULTS, body.text("route"))
    if not any(fnmatchcase(route, fault.route) for route in ROUTES):
        raise ControlError(f"unknown route '{fault.route}'; known: {', '.join(ROUTES)}")
    return fault


def webhook_fault(body: Body) -> Fault:
    """Read a fault for webhooks from a control request; raises `ControlError`."""
    return _read(body, WEBHOOK_FAULTS, body.text("event", "*"))


def _read(body: Body, kinds: dict[str, str], route: str) -> Fault:
    kind = body.text("kind")
    if kind not in kinds:
        raise ControlError(f"unknown kind '{kind}'; known: {', '.join(kinds)}")
    return Fault(
        route=route,
        kind=kind,
        nth=max(1, body.integer("nth", 1)),
        remaining=body.integer("count", 1) or -1,
        retry_after=body.optional_integer("retry_after"),
        seconds=body.number("seconds", 1.0 if kind == "delay" else 30.0),
        copies=body.integer("copies", body.integer("n", 1)),
        vendor=body.text("vendor", "*"),
    )
