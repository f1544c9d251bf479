"""Reports as Coderbyte shows them, with every looseness clients have met as a switch.

Source: coderbyte.md section 3.4; sample payload `report.json`.
"""

from __future__ import annotations

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.coderbyte.state import Assessment, AssessmentAttempt
from trellis.sandbox.switches import Switches

_SCORES = ("code_score", "mc_score", "final_score", "qualified")
_NUMBERS = ("code_score", "mc_score", "final_score", "qualifying_score", "time_taken", "total_challenges")


def report(attempt: AssessmentAttempt, assessment: Assessment, switches: Switches) -> Json:
    """One attempt as a report; reading it uses up one of its `not_ready_reads`."""
    is_ready = attempt.report_ready
    if attempt.is_finished and attempt.not_ready_reads > 0:
        attempt.not_ready_reads -= 1
        is_ready = False
    scale = switches.number("coderbyte.report.score_scale") / 100
    shown = attempt if is_ready else None
    minutes = attempt.time_taken
    in_seconds = switches.text("coderbyte.report.time_taken_unit") == "seconds"
    fields: Json = {
        "username": attempt.username,
        "email": attempt.email,
        "internal_id": attempt.internal_id,
        "date_joined": iso_milliseconds(attempt.joined_at),
        "test_id": assessment.test_id,
        "display_name": assessment.display_name,
        "report_link": attempt.report_url,
        "status": attempt.status,
        "report_ready": is_ready,
        "time_taken": None if minutes is None else minutes * 60 if in_seconds else minutes,
        "total_challenges": 3,
        "challenge_details": [],
        "mc_details": [],
        "oe_details": [],
        "video_responses": [],
        "scorecard": dict(attempt.scorecard),
        "admin_notes": attempt.admin_notes,
        "vote_decision": attempt.vote_decision,
        "workspaces": ["Engineering"],
        "invited_by_admin": None,
        "cheating_flag": shown.cheating_flag if shown else None,
        "cheating_details": (shown.cheating_details or _no_cheating()) if shown else None,
        "mc_score": _scaled(shown.mc_score if shown else None, scale),
        "code_score": _scaled(shown.code_score if shown else None, scale),
        "final_score": _scaled(shown.final_score if shown else None, scale),
        "qualified": shown.qualified if shown else None,
        "qualifying_score": _scaled(assessment.qualifying_score, scale),
    }
    _loosen(fields, switches)
    return {**fields, **attempt.extra}


def _loosen(fields: Json, switches: Switches) -> None:
    missing = switches.text("coderbyte.report.missing_scores")
    for name in _SCORES:
        if missing == "absent":
            del fields[name]
        elif missing == "null":
            fields[name] = None
    if switches.text("coderbyte.report.video_responses") == "object":
        fields["video_responses"] = {"q-1": "https://coderbyte.com/video/1"}
    if switches.text("coderbyte.report.scorecard") == "array":
        fields["scorecard"] = []
    if switches.flag("coderbyte.report.numeric_text"):
        for name in _NUMBERS:
            if fields.get(name) is not None:
                fields[name] = str(fields[name])
    if not switches.flag("coderbyte.report.report_ready_field"):
        del fields["report_ready"]


def _scaled(score: float | None, scale: float) -> float | int | None:
    if score is None:
        return None
    value = score * scale
    return int(value) if value == int(value) else round(value, 4)


def _no_cheating() -> Json:
    return {
        "tab_leaving": 0,
        "plagiarism": "Not detected",
        "pasted_code": "Not detected",
        "suspicious_activity": False,
        "ai_usage": False,
    }
