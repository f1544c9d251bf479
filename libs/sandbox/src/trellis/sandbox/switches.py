"""The switches: one named choice for every behaviour of a vendor that nobody documents.

Names and values are those of greenhouse.md section 9 and, with the prefix `coderbyte.`, of coderbyte.md sections 9 and
10. The first value is the default. Switches belong to one account.
"""

from __future__ import annotations

from dataclasses import dataclass

from trellis.sandbox.bodies import ControlError


@dataclass(frozen=True)
class Switch:
    """One switch."""

    values: tuple[str | int | float | bool, ...]
    """The default, then the other choices."""
    any_number: bool = False
    """Whether any number from zero up is accepted besides *values*."""
    meaning: str = ""


def _choice(*values: str | int | bool, meaning: str) -> Switch:
    return Switch(values, meaning=meaning)


def _number(default: float, meaning: str) -> Switch:
    return Switch((default,), any_number=True, meaning=meaning)


SWITCHES: dict[str, Switch] = {
    "move.from_stage_space": _choice(
        "job_interview_stage", "application_stage", "either", meaning="which id from_stage_id must hold"
    ),
    "move.to_stage_with_to_job": _choice("reject_422", "accept", "ignore_stage", meaning="both to_ fields"),
    "move.stale_code": _choice(422, 409, 404, meaning="status of a move whose from_stage_id is stale"),
    "move.delay_visible_s": _number(0, "seconds for which reads show the stage before an API move"),
    "token.single_active": _choice(True, False, meaning="a new token revokes the client's earlier ones"),
    "token.expiry_field": _choice("expires_at", "expires_in", "expires_at_epoch", meaning="in the answer"),
    "token.lifetime_s": _number(3600, "life of an access token"),
    "token.limit": _number(60, "token requests a minute"),
    "filters.range_syntax": _choice(
        "both", "pipe", "bracket", "bracket_ignored", meaning="which spelling of a time range works"
    ),
    "app.has_job_interview_stage_id": _choice(True, False, meaning="field of /applications"),
    "app_stages.reentry": _choice(
        "new_row", "reuse_row", "null_entered_at", meaning="what a second visit to a stage does to its rows"
    ),
    "note.unknown_candidate": _choice("accept_201", "404", meaning="a note for nobody"),
    "note.body_rewrite": _choice("none", "trim", "escape_html", meaning="what is stored of a note's body"),
    "note.v1_status": _choice(200, 201, meaning="status of a note written through v1"),
    "update.field_shape": _choice("list", "keyed", meaning="how an update in v3 takes custom fields"),
    "hook.event_id_on_retry": _choice("same", "new", meaning="Greenhouse-Event-ID of a redelivery"),
    "hook.schedule": _choice("2024_7", "2022_6", "support_25", meaning="waits between delivery attempts"),
    "hook.success": _choice("only_200", "any_2xx", meaning="which answers end a delivery"),
    "hook.timeout_s": _number(5, "real seconds a delivery waits for its answer"),
    "hook.time_scale": _number(1, "simulated seconds that pass in one real second between redeliveries"),
    "hook.transfer_fires": _choice(
        "both", "application_updated", "stage_change", "none", meaning="webhooks of a transfer to another job"
    ),
    "hook.first_stage_fires": _choice(
        "new_application", "both", meaning="whether a new application also fires a stage change"
    ),
    "hook.stage_id_space": _choice("job_stage", "other", meaning="current_stage.id in webhooks"),
    "hook.escape": _choice("html_and_unicode", "html_only", "none", meaning="escapes in webhook bodies"),
    "list.non_admin": _choice("403", "empty", meaning="a list for a subject that is no Site Admin"),
    "rate.limit": _number(150, "calls a window and credential"),
    "rate.reset_style": _choice("rolling_now_plus_30", "window_end", meaning="X-RateLimit-Reset"),
    "rate.time_scale": _number(1, "simulated seconds that pass in one real second of the 30 s window"),
    "rate.v1_limit": _number(50, "calls of a v1 key in 10 s"),
    "clock.skew_s": _number(0, "seconds by which the Date header of Harvest v3 is ahead"),
    "v1.state": _choice(
        "on", "401", "404", "410", "refused", meaning="what Harvest v1 answers; all but on: it has ended"
    ),
    "coderbyte.invite.duplicate_behaviour": _choice(
        "new_mail", "same_link", "error", meaning="what a second invite of one address does"
    ),
    "coderbyte.invite.internal_id_mode": _choice(
        "off", "parentheses", meaning="whether 'a@b.example (id)' is read; off refuses it with 400"
    ),
    "coderbyte.invite.skip_send": _choice("works", "ignored", meaning="whether skip_send keeps the mail back"),
    "coderbyte.lookup.lists_pending_invites": _choice(False, True, meaning="3.3 shows unstarted invites"),
    "coderbyte.lookup.shape": _choice("assessments", "array", meaning="3.3: data.assessments[] or data[]"),
    "coderbyte.lookup.unknown_candidate": _choice("404", "empty", meaning="3.3 and 3.4 for an unknown address"),
    "coderbyte.error.closed_assessment": _number(400, "status"),
    "coderbyte.error.unknown_link": _number(400, "status"),
    "coderbyte.error.bad_key": _number(401, "status"),
    "coderbyte.report.not_ready_reads": _number(0, "reads for which a finished report says report_ready false"),
    "coderbyte.report.empty_reads": _number(0, "reads for which a finished attempt gives no report"),
    "coderbyte.report.empty": _choice(False, True, meaning="reports is always empty"),
    "coderbyte.report.missing_scores": _choice("none", "null", "absent", meaning="scores and qualified"),
    "coderbyte.report.video_responses": _choice("array", "object", meaning="empty array or object of text"),
    "coderbyte.report.scorecard": _choice("object", "array", meaning="an empty array in place of the object"),
    "coderbyte.report.numeric_text": _choice(False, True, meaning="numbers as text"),
    "coderbyte.report.report_ready_field": _choice(True, False, meaning="whether report_ready is there"),
    "coderbyte.report.attempt_order": _choice("oldest_first", "newest_first", meaning="order of reports"),
    "coderbyte.report.score_scale": _number(100, "what a full score is worth"),
    "coderbyte.report.time_taken_unit": _choice("minutes", "seconds", meaning="unit of time_taken"),
    "coderbyte.webhook.iat": _choice(False, True, meaning="whether the token has iat"),
    "coderbyte.webhook.exp": _choice("absent", "future", "past", meaning="whether the token has exp"),
    "coderbyte.webhook.signature": _choice(
        "good", "wrong_key", "wrong_iss", "alg_none", meaning="how the webhook's token is made"
    ),
    "coderbyte.webhook.key_encoding": _choice("utf8", "base64", meaning="key bytes from the API key"),
    "coderbyte.webhook.completed_body": _choice(
        "report_ready", "challenges_being_graded", meaning="field of the completed webhook"
    ),
    "coderbyte.webhook.retries": _number(0, "further attempts after an answer outside 2xx"),
}


class Switches:
    """The switch positions of one account."""

    def __init__(self) -> None:
        self._set: dict[str, str | int | float | bool] = {}

    def set(self, name: str, value: object) -> None:
        """Put *name* to *value*; null puts it back.

        Raises:
            ControlError: No such switch, or not one of its values.
        """
        switch = SWITCHES.get(name)
        if switch is None:
            raise ControlError(f"unknown switch '{name}'; known: {', '.join(sorted(SWITCHES))}")
        if value is None:
            self._set.pop(name, None)
            return
        if switch.any_number and isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            self._set[name] = value
            return
        for allowed in switch.values:
            if str(value).lower() == str(allowed).lower():
                self._set[name] = allowed
                return
        choices = "a number from 0" if switch.any_number else ", ".join(str(v) for v in switch.values)
        raise ControlError(f"'{name}' must be {choices}")

    def positions(self) -> dict[str, str | int | float | bool]:
        """Every switch and where it stands."""
        return {name: self._set.get(name, switch.values[0]) for name, switch in SWITCHES.items()}

    def text(self, name: str) -> str:
        """Position of a choice, as text."""
        return str(self._get(name))

    def flag(self, name: str) -> bool:
        """Position of a true or false switch."""
        return self._get(name) is True

    def number(self, name: str) -> float:
        """Position of a number."""
        value = self._get(name)
        return value if isinstance(value, int | float) else float(value)

    def integer(self, name: str) -> int:
        """Position of a number, cut to a whole one."""
        return int(self.number(name))

    def _get(self, name: str) -> str | int | float | bool:
        return self._set.get(name, SWITCHES[name].values[0])
