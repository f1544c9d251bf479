"""What candidates and reviewers do at Coderbyte, and which webhooks it fires.

Source: coderbyte.md sections 4.2, 5 and 9 (drivers).
"""

from __future__ import annotations

from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.coderbyte.state import AssessmentAttempt
from trellis.sandbox.coderbyte.webhooks import fire, fire_completed, fire_joined
from trellis.sandbox.people import Verb
from trellis.sandbox.world import Account


def join(account: Account, body: Body) -> Json:
    """Begin the assessment; with `public` also without an invite, as over the multi-use link."""
    coderbyte = account.coderbyte
    invites = [i for email in _emails(account, body) for i in coderbyte.invites_of(email, _test_id(account, body))]
    if invites:
        last = max(invites, key=lambda invite: invite.at)
        attempt = coderbyte.join(last.email, last.assessment_id, internal_id=last.internal_id)
    elif body.flag("public", False):
        test_id = _test_id(account, body) or next(iter(coderbyte.assessments))
        attempt = coderbyte.join(body.text("email"), test_id, internal_id=None)
    else:
        raise ControlError("that address has no invite", 409)
    if not body.flag("silent", False):
        fire_joined(account, attempt)
    return _tell(attempt)


def submit(account: Account, body: Body) -> Json:
    """Hand in: scores and flags as given; joins first if need be."""
    return _finish(account, body, "Submitted")


def expire(account: Account, body: Body) -> Json:
    """Run out of time: a completion with `time_expired`."""
    return _finish(account, body, "Time expired")


def finish_grading(account: Account, body: Body) -> Json:
    """Grading ends: the report is ready, with the scores given here. No webhook, unless `webhook` is true."""
    attempt = _attempt(account, body, is_finished=True)
    _score(account, attempt, body)
    attempt.report_ready, attempt.not_ready_reads = True, 0
    if body.flag("webhook", False):
        fire_completed(account, attempt, report_ready=True)
    return _tell(attempt)


def review(account: Account, body: Body) -> Json:
    """A reviewer votes (`recommendation` thumb_up or thumb_down) or comments; scores given here replace the old."""
    attempt = _attempt(account, body, is_finished=True)
    recommendation, comment = body.optional_text("recommendation"), body.optional_text("comment")
    admin = body.text("admin", "reviewer@example.org")
    _score(account, attempt, body)
    if recommendation is not None:
        attempt.vote_decision = recommendation
    if comment is not None:
        date = iso_milliseconds(account.coderbyte.clock.now())
        attempt.admin_notes = {"content": comment, "admin": admin, "date": date}
    if not body.flag("silent", False):
        fields: Json = {
            "assessment_id": attempt.assessment_id,
            "report_url": attempt.report_url,
            "trigger": "recommendation" if recommendation is not None else "comment",
            "recommendation": recommendation,
            "comment": comment,
            "email_admin": admin,
        }
        fire(account, "scorecard_updated", attempt.email, fields)
    return _tell(attempt)


def finish_interview(account: Account, body: Body) -> Json:
    """An interview ends: `interview_completed`, which names no assessment."""
    interview_id = body.text("interview_id", account.coderbyte.key(9))
    report_url = f"https://coderbyte.com/report/interview:{interview_id}:{account.coderbyte.organization_id}"
    email = _emails(account, body)[0]
    fields: Json = {"report_url": report_url, "interview_id": interview_id}
    fire(account, "interview_completed", email, fields)
    return {"email": email, "interview_id": interview_id, "report_url": report_url}


def rotate_api_key(account: Account, body: Body) -> Json:
    """The organization's key becomes `api_key`; from now on it also signs. `keep_old` lets the API take both."""
    coderbyte = account.coderbyte
    key = body.text("api_key", f"{account.name}-api-key-{len(coderbyte.accepted_keys) + 1:04d}")
    owner = account.world.by_api_key(key)
    if owner is not None and owner is not account:
        raise ControlError("the API key belongs to another account", 409)
    coderbyte.accepted_keys = [key, *(coderbyte.accepted_keys if body.flag("keep_old", False) else [])]
    coderbyte.api_key = key
    return {"api_key": key}


def close_assessment(account: Account, body: Body) -> Json:
    """Close `assessment` (or, with `value` false, open it again)."""
    test_id = _test_id(account, body) or next(iter(account.coderbyte.assessments))
    account.coderbyte.assessments[test_id].closed = body.flag("value", True)
    return {"assessment_id": test_id, "closed": account.coderbyte.assessments[test_id].closed}


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        join,
        submit,
        expire,
        finish_grading,
        review,
        finish_interview,
        rotate_api_key,
        close_assessment,
    )
}


def _finish(account: Account, body: Body, status: str) -> Json:
    attempt = _open_attempt(account, body)
    attempt.status = status
    attempt.report_ready = body.flag("report_ready", True)
    attempt.not_ready_reads = body.integer(
        "not_ready_reads", account.switches.integer("coderbyte.report.not_ready_reads")
    )
    attempt.empty_reads = body.integer("empty_reads", account.switches.integer("coderbyte.report.empty_reads"))
    attempt.time_taken = body.integer("time_taken", 52)
    if not (body.has("final_score") or body.has("code_score") or status == "Time expired"):
        attempt.final_score = attempt.code_score = 80
    _score(account, attempt, body)
    if not body.flag("silent", False):
        fire_completed(account, attempt, report_ready=attempt.report_ready and attempt.not_ready_reads == 0)
    return _tell(attempt)


def _open_attempt(account: Account, body: Body) -> AssessmentAttempt:
    """The attempt in progress; one is begun, without a webhook, if there is none."""
    try:
        return _attempt(account, body, is_finished=False)
    except ControlError:
        join(account, Body({**body.fields, "silent": True}))
        return _attempt(account, body, is_finished=False)


def _attempt(account: Account, body: Body, *, is_finished: bool) -> AssessmentAttempt:
    test_id = _test_id(account, body)
    found = [
        attempt
        for email in _emails(account, body)
        for attempt in account.coderbyte.attempts_of(email, test_id)
        if attempt.is_finished == is_finished
    ]
    if not found:
        raise ControlError("no such attempt", 404)
    return found[-1]


def _score(account: Account, attempt: AssessmentAttempt, body: Body) -> None:
    """Take scores and flags over; `qualified` follows from the final score unless it is given, null included."""
    if body.has("code_score"):
        attempt.code_score = body.optional_number("code_score")
    if body.has("mc_score"):
        attempt.mc_score = body.optional_number("mc_score")
    if body.has("final_score"):
        attempt.final_score = body.optional_number("final_score")
    elif body.has("code_score"):
        attempt.final_score = attempt.code_score
    if body.has("qualified"):
        attempt.qualified = body.flag("qualified", False) if body.fields["qualified"] is not None else None
    elif attempt.final_score is not None:
        mark = account.coderbyte.assessments[attempt.assessment_id].qualifying_score
        attempt.qualified = attempt.final_score >= mark
    if body.has("cheating_flag"):
        attempt.cheating_flag = body.optional_text("cheating_flag")
    attempt.cheating_details = dict(body.section("cheating_details").fields) or attempt.cheating_details
    for name, value in body.section("scorecard").fields.items():
        attempt.scorecard[name] = value if isinstance(value, int) else 0
    attempt.extra.update(body.section("report").fields)


def _test_id(account: Account, body: Body) -> str | None:
    """The assessment that `assessment` names by test id or display name; `None` if it is not given."""
    wanted = body.optional_text("assessment")
    if wanted is None:
        return None
    for assessment in account.coderbyte.assessments.values():
        if wanted in (assessment.test_id, assessment.display_name):
            return assessment.test_id
    raise ControlError(f"no assessment '{wanted}'", 404)


def _emails(account: Account, body: Body) -> list[str]:
    """The address given, or all addresses of the application given and those it was invited by before."""
    if body.optional_text("email") is not None:
        return [body.text("email")]
    number = body.integer("application_id", 0)
    application = account.greenhouse.applications.get(number)
    if application is None:
        raise ControlError("'email' or a known 'application_id' is required", 404)
    found = account.greenhouse.candidates[application.candidate_id].email_addresses
    if not found:
        raise ControlError("the candidate has no address; give 'email'", 409)
    return [address["value"] for address in found]


def _tell(attempt: AssessmentAttempt) -> Json:
    return {
        "email": attempt.email,
        "assessment_id": attempt.assessment_id,
        "username": attempt.username,
        "status": attempt.status,
        "report_ready": attempt.report_ready,
        "report_url": attempt.report_url,
        "final_score": attempt.final_score,
        "qualified": attempt.qualified,
    }
