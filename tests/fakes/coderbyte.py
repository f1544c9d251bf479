"""The in-memory twin of the Coderbyte port: same answers, same faults, and counts of what reached people.

Switches bear the names of the Coderbyte fact sheet, section 10, so that one suite drives it and the
sandbox alike.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from trellis.assessments.adapters.coderbyte import CredentialError, Organization, RawReport
from trellis.assessments.domain.invites import (
    Answered,
    Assessment,
    InviteRequest,
    Lost,
    NeverLeft,
    Seen,
    parse_assessments,
    to_body,
)
from trellis.common.contracts.identifiers import AssessmentId
from trellis.common.errors import TransientError

_UNHARMED = {"429", "503", "500", "502", "cut_before", "refused"}
_DEFAULTS: dict[str, Any] = {
    "invite.duplicate_behaviour": "new_mail",
    "invite.internal_id_mode": "off",
    "invite.skip_send": "works",
    "lookup.lists_pending_invites": False,
    "lookup.unknown_candidate": "404",
    "report.not_ready_reads": 0,
    "report.empty_reads": 0,
    "report.empty": False,
    "report.missing_scores": "none",
    "report.report_ready_field": True,
    "report.attempt_order": "oldest_first",
    "error.closed_assessment": 400,
    "error.unknown_link": 400,
}


class CoderbyteTwin:
    """One organization, in memory."""

    def __init__(self, api_key: str = "key") -> None:
        self.api_key = api_key
        self.listing: list[dict[str, Any]] = []
        self.invites: list[tuple[str, str, bool]] = []
        self.mails: Counter[tuple[str, str]] = Counter()
        self.calls: Counter[str] = Counter()
        self.attempts: list[dict[str, Any]] = []
        self.switches = dict(_DEFAULTS)
        self.faults: list[tuple[str, str, int | None]] = []
        self._at = datetime(2026, 3, 4, 16, 0, tzinfo=UTC)

    # -- driving it

    def add_assessment(self, test_id: str, *, public: bool = True, closed: bool = False) -> None:
        url = f"https://coderbyte.com/sl-candidate?promo=org:{test_id}" if public else None
        self.listing.append({"test_id": test_id, "display_name": test_id, "public_url": url, "closed": closed})

    def fault(self, route: str, kind: str, retry_after: int | None = None, times: int = 1) -> None:
        self.faults += [(route, kind, retry_after)] * times

    def join(self, address: str, test_id: str, **fields: Any) -> dict[str, Any]:
        self._at += timedelta(minutes=1)
        attempt = {
            "username": f"user{len(self.attempts):04d}",
            "email": address,
            "test_id": test_id,
            "date_joined": self._at.isoformat(),
            "report_link": f"https://coderbyte.com/report/user{len(self.attempts):04d}:{test_id}",
            "status": "In progress",
            "report_ready": False,
            **fields,
        }
        self.attempts.append(attempt)
        return attempt

    def submit(self, address: str, test_id: str, **fields: Any) -> dict[str, Any]:
        found = [a for a in self._of(address, test_id) if a["status"] == "In progress"]
        attempt = found[-1] if found else self.join(address, test_id)
        attempt |= {
            "status": "Submitted",
            "report_ready": True,
            "not_ready_reads": self.switches["report.not_ready_reads"],
            "empty_reads": self.switches["report.empty_reads"],
            "final_score": 80,
            "code_score": 80,
            "qualified": True,
            "qualifying_score": 70,
            "cheating_flag": "Not detected",
            **fields,
        }
        return attempt

    # -- the port

    async def assessments(self, organization: Organization) -> tuple[Assessment, ...]:
        self._admit(organization, "assessments.list")
        return parse_assessments(self.listing)

    async def listed(self, organization: Organization, address: str) -> frozenset[AssessmentId]:
        self._admit(organization, "candidate")
        found = {a["test_id"] for a in self.attempts if _same(a["email"], address)}
        if self.switches["lookup.lists_pending_invites"]:
            found |= {test for email, test, _ in self.invites if _same(email, address)}
        return frozenset(AssessmentId(test) for test in found)

    async def reports(
        self, organization: Organization, address: str, assessment_id: AssessmentId
    ) -> tuple[RawReport, ...]:
        self._admit(organization, "report")
        found = []
        for attempt in self._of(address, assessment_id):
            finished = attempt["status"] != "In progress"
            if finished and attempt.get("empty_reads", 0) > 0:
                attempt["empty_reads"] -= 1
            elif not self.switches["report.empty"]:
                found.append(self._report(attempt, finished=finished))
        if self.switches["report.attempt_order"] == "newest_first":
            found.reverse()
        return tuple(found)

    async def invite(self, organization: Organization, request: InviteRequest) -> Seen:
        fault, retry_after = self._take("invite")
        self.calls["invite"] += 1
        if fault == "refused":
            return NeverLeft(reason="ClientConnectorError")
        if organization.api_key != self.api_key:
            return Answered(status=401, body=b"{}")
        if fault in ("429", "503", "500", "502"):
            return Answered(
                status=int(fault), body=b"<html>", retry_after=None if retry_after is None else str(retry_after)
            )
        if fault == "cut_before":
            return Lost(reason="ServerDisconnectedError")
        seen = self._carry_out(request)
        if fault == "cut_after":
            return Lost(reason="ServerDisconnectedError")
        if fault in ("500_after", "502_after"):
            return Answered(status=int(fault[:3]), body=b"<html>")
        if fault == "truncated_json" and seen.body is not None:
            return Answered(status=seen.status, body=seen.body[: len(seen.body) // 2])
        return seen

    # -- what it does

    def _carry_out(self, request: InviteRequest) -> Answered:
        entry = next((item for item in self.listing if item["public_url"] == request.assessment_url), None)
        if entry is None:
            return _refusal(self.switches["error.unknown_link"], "Unknown assessment URL")
        if entry["closed"]:
            return _refusal(self.switches["error.closed_assessment"], "The assessment is closed")
        candidates = to_body(request)["candidates"]
        candidate = str(candidates[0]) if isinstance(candidates, list) else ""
        if " " in candidate and self.switches["invite.internal_id_mode"] == "off":
            return _refusal(400, "Invalid email address")
        test = entry["test_id"]
        known = any(_same(email, request.address) and at == test for email, at, _ in self.invites)
        behaviour = self.switches["invite.duplicate_behaviour"]
        if known and behaviour == "error":
            return _refusal(409, "Candidate already invited")
        mailed = not (request.skip_send and self.switches["invite.skip_send"] == "works")
        mailed = mailed and not (known and behaviour == "same_link")
        self.invites.append((request.address, test, mailed))
        if mailed:
            self.mails[request.address.lower(), test] += 1
        link = f"https://coderbyte.com/sl-candidate?inviteKey=k{len(self.invites):09d}"
        body = f'{{"status":"success","data":{{"candidates":[{{"email":"{request.address}","url":"{link}"}}],"test_id":"{test}"}}}}'
        return Answered(status=200, body=body.encode())

    def _admit(self, organization: Organization, route: str) -> None:
        fault, retry_after = self._take(route)
        self.calls[route] += 1
        if organization.api_key != self.api_key:
            raise CredentialError("Coderbyte answered 401: it rejects the API key")
        if fault is not None:
            wait = None if retry_after is None else timedelta(seconds=retry_after)
            raise TransientError(f"Coderbyte answered {fault} to a reading", retry_after=wait)

    def _take(self, route: str) -> tuple[str | None, int | None]:
        for fault in self.faults:
            if fault[0] == route:
                self.faults.remove(fault)
                return fault[1], fault[2]
        return None, None

    def _of(self, address: str, test_id: str) -> list[dict[str, Any]]:
        return [a for a in self.attempts if _same(a["email"], address) and a["test_id"] == test_id]

    def _report(self, attempt: dict[str, Any], *, finished: bool) -> dict[str, Any]:
        shown = {key: value for key, value in attempt.items() if key not in ("not_ready_reads", "empty_reads")}
        scores = ("final_score", "code_score", "mc_score", "qualified", "qualifying_score")
        if finished and attempt.get("not_ready_reads", 0) > 0:
            attempt["not_ready_reads"] -= 1
            shown |= {"report_ready": False, "cheating_flag": None, **dict.fromkeys(scores[:-1])}
        if self.switches["report.missing_scores"] == "null":
            shown |= dict.fromkeys(scores)
        elif self.switches["report.missing_scores"] == "absent":
            shown = {key: value for key, value in shown.items() if key not in scores}
        if not self.switches["report.report_ready_field"]:
            shown.pop("report_ready", None)
        return shown


def _refusal(status: int, message: str) -> Answered:
    return Answered(status=status, body=f'{{"status":"error","message":"{message}"}}'.encode())


def _same(one: str, other: str) -> bool:
    return one.strip().lower() == other.strip().lower()
