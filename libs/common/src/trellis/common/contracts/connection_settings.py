"""Settings of an account's connections that encode what the vendors do not document.

Names, defaults and questions are those of section 10 of the two fact sheets; the base addresses, the
token address, credentials and the organization stand in the account's file as fields of their own.
Durations are seconds, fractions allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Owner = Literal["ingest", "greenhouse-actions", "assessments"]
Json = str | int | float | bool | list[int | float | str] | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: which services it is for, its default, what it may be, and the question it answers.

    Attributes:
        schema: JSON Schema of the value.
    """

    name: str
    owners: tuple[Owner, ...]
    default: Json
    schema: dict[str, object]
    question: str


def _bool(name: str, owners: tuple[Owner, ...], default: bool, question: str) -> Setting:
    return Setting(name, owners, default, {"type": "boolean"}, question)


def _number(name: str, owners: tuple[Owner, ...], default: float, question: str, least: float = 0) -> Setting:
    return Setting(name, owners, default, {"type": "number", "minimum": least}, question)


def _choice(name: str, owners: tuple[Owner, ...], choices: tuple[str, ...], question: str) -> Setting:
    return Setting(name, owners, choices[0], {"type": "string", "enum": list(choices)}, question)


def _text(name: str, owners: tuple[Owner, ...], default: str | None, question: str) -> Setting:
    return Setting(name, owners, default, {"type": ["string", "null"] if default is None else "string"}, question)


_G: Final[tuple[Owner, ...]] = ("greenhouse-actions",)
_A: Final[tuple[Owner, ...]] = ("assessments",)
_I: Final[tuple[Owner, ...]] = ("ingest",)

GREENHOUSE: Final = (
    _text("v3.base_url", _G, None, "another host of Harvest? null: the connection's base_url"),
    _text("v3.token_url", _G, None, "another host of the token route? null: the connection's token_url"),
    _text("v1.base_url", _G, None, "another host of Harvest v1? null: the connection's base_url"),
    _choice("v1.unreachable", _G, ("outage", "ended"), "what does it mean that Harvest v1 gives no answer at all?"),
    Setting(
        "v3.sub",
        _G,
        None,
        {"type": ["integer", "string", "null"]},
        "as whom do tokens act? null: the service user; none: the credential's own account",
    ),
    _bool("v3.single_active_token", _G, True, "does a new token end the older one? Shared and locked either way"),
    _choice("v3.range_syntax", _G, ("auto", "pipe", "bracket"), "how are time ranges spelled?"),
    _choice(
        "v3.from_stage_space",
        _G,
        ("auto", "job_interview_stage", "application_stage"),
        "which id does a move's from_stage_id take? auto tries both and remembers",
    ),
    _choice(
        "v3.transfer_with_stage", _G, ("two_steps", "one_call"), "may a transfer name the stage? Nothing transfers yet"
    ),
    _choice("v3.reads_as", _G, ("service_user", "credential_account"), "as whom are lists read?"),
    _choice("v3.introspect", _G, ("try", "off"), "is the token's introspection there?"),
    _choice("note.visibility", _G, ("public", "private", "admin_only"), "who sees our notes?"),
    _number("note.max_chars", _G, 10000, "longest note; no limit is published", 200),
    _bool("note.escape_markup", _G, True, "are < > & in a note escaped by us?"),
    Setting(
        "note.link_hosts",
        _G,
        ["coderbyte.com"],
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "hosts to which a report's link in a note may lead, subdomains included",
    ),
    _number("verify.second_read_s", _G, 30, "how long after a write may a reading still show the old?"),
    _bool("note.on_withdraw", _G, False, "the one note after a person's act; nothing is withdrawn yet"),
    _choice(
        "standing.show", _G, ("auto", "field", "note", "off"), "where do recruiters see how an application stands?"
    ),
    _text("standing.field", _G, "trellis_standing", "immutable key of the application's custom field for it"),
    _choice("standing.field_shape", _G, ("list", "keyed"), "how does an application's update take custom fields?"),
    _number("standing.delay", _G, 10, "how long may what is shown be behind, so that short changes are one write?"),
    _number("reconcile.interval", _G, 600, "how often Greenhouse is compared with the log", 1),
    _number("reconcile.overlap", _G, 600, "how far two comparisons overlap"),
    _choice("reconcile.field", _G, ("both", "updated_at", "last_activity_at"), "which time does a move touch?"),
    _number("reconcile.delay", _G, 60, "how long may a webhook be under way before its change counts as missed?"),
    _number("reconcile.act_within", _G, 86400, "how old may a missed entry be to be acted upon without a person?"),
    _number("reconcile.depth", _G, 86400, "how far back does the first comparison look?"),
    _number("rate.share", _G, 0.6, "which part of the rate limit is ours?", 0.05),
    _number("rate.start_limit", _G, 20, "calls a window until headers are seen", 1),
    _text("keep_off.tag", _G, None, "which tag of a candidate keeps Trellis off all of their applications? null: none"),
    _bool("invite.allow_private", _G, False, "may private candidates and those not to be mailed be invited?"),
    _choice(
        "hook.stage_match",
        _I,
        ("id_then_name", "id"),
        "are stage ids the same in webhooks and in Harvest? No part asks it: name stages as webhooks do",
    ),
    _bool("hook.new_application_is_entry", _I, True, "does a new application count as entering its stage?"),
    _number("hook.read_timeout_s", _I, 10, "a request not wholly received by then is closed", 0.05),
    _number("credential.retry_s", (*_G, *_A), 60, "how soon a mended credential is noticed", 0.05),
)
CODERBYTE: Final = (
    _text("paths.assessments", _A, "/organization/assessments", "the route that lists assessments"),
    _text("paths.invite", _A, "/organization/candidates/invite", "the route that invites"),
    _text("paths.candidate", _A, "/organization/candidates/{email}", "the route of a candidate's assessments"),
    _text("paths.report", _A, "/organization/candidates/{email}/{assessment_id}", "the route of reports"),
    _choice("webhook.key_encoding", _I, ("utf8", "base64"), "is the API key the HMAC key as it is?"),
    _bool("webhook.require_exp", _I, False, "do the tokens carry exp?"),
    _choice(
        "invite.delivery",
        _A,
        ("coderbyte_email", "link_only"),
        "who writes to the candidate? link_only: a person, by `trellis invite-links`",
    ),
    _choice("invite.internal_id_mode", _A, ("off", "parenthesised"), "does the API take an internal id?"),
    _choice("invite.duplicate_behaviour", _A, ("new_mail", "same_link", "error"), "what does a repeated invite do?"),
    _choice("invite.on_unknown", _A, ("hold", "resend_once"), "may an unanswered invite be sent again?"),
    _choice("invite.reinvite", _A, ("never", "if_not_started", "always"), "is a new visit a new invite?"),
    _bool("lookup.lists_pending_invites", _A, False, "are invites listed before they are started?"),
    _number("lookup.second_read_s", _A, 30, "how long after a first look-up of an invite is the second?"),
    _choice("report.pick_attempt", _A, ("latest", "first", "best"), "which attempt counts?"),
    _choice("result.on_collision", _A, ("all_open", "newest", "hold"), "one person, one assessment, two applications"),
    Setting(
        "result.reuse_within",
        _A,
        None,
        {"type": ["number", "null"], "exclusiveMinimum": 0},
        "how old may a candidate's result of the same assessment be to be taken instead of an invite? null: none is",
    ),
    _choice("report.time_taken_unit", _A, ("minutes", "seconds"), "the unit of time_taken"),
    _number("report.score_scale", _A, 100, "the highest score", 1),
    Setting(
        "report.poll_schedule",
        _A,
        [60, 120, 300, 600, 1800],
        {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1},
        "waits between readings of a report that is not ready; then hourly for a day",
    ),
    _number("invite.poll_interval", _A, 21600, "how often an open invite is polled, in case a webhook was lost", 0.05),
    _number("rate.max_per_second", _A, 2, "calls a second; no limit is published", 0.1),
    _number("rate.concurrency", _A, 2, "calls at once", 1),
    _bool("interviews.enabled", _A, False, "are there interview routes? Only false is taken yet"),
    _bool("note.include_report_link", _A, True, "report links can be read by anyone who has them"),
    Setting(
        "cap.invites_per_hour",
        _A,
        None,
        {"type": ["integer", "null"], "minimum": 1},
        "most invites of the account in an hour; null is no cap",
    ),
)
SETTINGS: Final = {setting.name: setting for setting in (*GREENHOUSE, *CODERBYTE)}


def for_owner(settings: dict[str, Json], owner: Owner) -> dict[str, Json]:
    """Return those of *settings* that are for *owner*."""
    return {name: value for name, value in settings.items() if name in SETTINGS and owner in SETTINGS[name].owners}
