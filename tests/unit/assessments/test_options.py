"""The settings of a connection by their exact names, and when a report is read next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trellis.assessments.domain.options import KNOWN, Delivery, Options, Reinvite, parse
from trellis.assessments.domain.polling import next_reading
from trellis.common.contracts.connection_settings import SETTINGS
from trellis.common.errors import InputError


def test_nothing_named_is_the_default_of_the_fact_sheet() -> None:
    options = parse({})
    assert options == Options()
    assert options.poll_schedule[:5] == (60, 120, 300, 600, 1800)
    assert 23 * 3600 < sum(options.poll_schedule) <= 24 * 3600
    assert options.poll_interval == timedelta(hours=6)
    assert (options.max_per_second, options.concurrency, options.invites_per_hour) == (2.0, 2, None)
    assert (options.delivery, options.reinvite) == (Delivery.CODERBYTE_EMAIL, Reinvite.NEVER)


def test_each_setting_is_taken_over() -> None:
    options = parse(
        {
            "invite.delivery": "link_only",
            "invite.reinvite": "always",
            "report.poll_schedule": [0.1, 0.2],
            "invite.poll_interval": 0.5,
            "rate.max_per_second": 0.5,
            "rate.concurrency": 3.0,
            "cap.invites_per_hour": 7,
            "credential.retry_s": 0.2,
            "note.include_report_link": False,
            "paths.report": "/v2/{assessment_id}/of/{email}",
            "webhook.require_exp": True,
        }
    )
    assert (options.delivery, options.reinvite) == (Delivery.LINK_ONLY, Reinvite.ALWAYS)
    assert options.poll_schedule == (0.1, 0.2, *(3600.0,) * 23)
    assert options.poll_interval == timedelta(seconds=0.5)
    assert (options.max_per_second, options.concurrency, options.invites_per_hour) == (0.5, 3, 7)
    assert options.credential_retry == timedelta(seconds=0.2)
    assert not options.include_report_link
    assert options.paths.report == "/v2/{assessment_id}/of/{email}"
    assert options.paths.candidate == Options().paths.candidate


def test_a_schedule_of_a_day_or_more_is_not_made_longer() -> None:
    assert parse({"report.poll_schedule": [86_400, 5]}).poll_schedule == (86_400, 5)


def test_every_setting_that_the_accounts_file_sends_here_is_known_with_its_default() -> None:
    ours = [setting for setting in SETTINGS.values() if "assessments" in setting.owners]
    assert len(ours) > 15
    assert parse({setting.name: setting.default for setting in ours}) == Options()
    for setting in ours:
        for choice in setting.schema.get("enum", []):  # type: ignore[attr-defined]
            parse({setting.name: choice})


def test_null_takes_the_cap_away() -> None:
    assert parse({"cap.invites_per_hour": None}).invites_per_hour is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("invite.delivery", "pigeon"),
        ("invite.delivery", None),
        ("invite.delivery", 3),
        ("invite.on_unknown", "resend"),
        ("invite.poll_interval", 0),
        ("invite.poll_interval", "6h"),
        ("report.poll_schedule", []),
        ("report.poll_schedule", [60, -1]),
        ("report.poll_schedule", [60, True]),
        ("report.poll_schedule", 60),
        ("report.score_scale", 0),
        ("report.score_scale", float("inf")),
        ("rate.max_per_second", -1),
        ("rate.concurrency", 0),
        ("rate.concurrency", 1.5),
        ("cap.invites_per_hour", 0),
        ("lookup.lists_pending_invites", "true"),
        ("note.include_report_link", 1),
        ("paths.report", "/x/{email}"),
        ("paths.invite", "no-slash"),
        ("paths.invite", "/x?y=1"),
        ("interviews.enabled", True),
    ],
)
def test_a_wrong_value_names_the_setting_and_what_it_expects(name: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        parse({name: value})
    assert caught.value.field == f"settings.{name}"
    assert caught.value.expected
    assert caught.value.remedy


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        parse({"invite.onunknown": "hold"})
    assert caught.value.field == "settings.invite.onunknown"
    assert all(name in caught.value.remedy for name in KNOWN)


# -- readings


def test_a_report_that_is_awaited_is_read_by_the_schedule_and_then_slowly_and_visibly() -> None:
    schedule, interval = (1.0, 2.0), timedelta(hours=6)
    step: int | None = 0
    waits = []
    for _ in range(4):
        following = next_reading(step, awaited=False, schedule=schedule, interval=interval)
        waits.append((following.wait.total_seconds(), following.overdue))
        step = following.step
    assert waits == [(1.0, False), (2.0, False), (21600.0, True), (21600.0, True)]


def test_an_open_invite_is_read_slowly_until_a_reading_shows_that_its_candidate_has_finished() -> None:
    slow = next_reading(None, awaited=False, schedule=(1.0,), interval=timedelta(hours=6))
    assert (slow.wait, slow.step, slow.overdue) == (timedelta(hours=6), None, False)
    quick = next_reading(None, awaited=True, schedule=(1.0,), interval=timedelta(hours=6))
    assert (quick.wait, quick.step) == (timedelta(seconds=1), 1)


# -- the edges of what each setting takes

YEAR = 31_536_000


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("lookup.second_read_s", [0, YEAR], [-0.1, YEAR + 1, "1", None]),
        ("invite.poll_interval", [0.01, YEAR], [0.009, YEAR + 1, True]),
        ("credential.retry_s", [0.01, YEAR], [0, YEAR + 1]),
        ("rate.concurrency", [1, 1000], [0, 1001, 1.5, "1", None]),
        ("cap.invites_per_hour", [1, 2], [0, True, 1.0, "1"]),
        ("result.reuse_within", [0.001, 10 * YEAR, None], [0, -1, 10 * YEAR + 1, True, "1"]),
        ("report.poll_schedule", [[0], [1] * 500], [[], [1] * 501, [-1], ["1"]]),
        ("paths.invite", ["/x"], ["x", "/x?y", "/x#y", 3]),
        ("paths.candidate", ["/{email}"], ["/x", "/{email}/{email}"]),
        ("webhook.key_encoding", ["utf8", "base64"], ["hex", None, 1]),
        ("interviews.enabled", [False], [True, None, 0]),
        ("report.score_scale", [0.1], [0, -1, True]),
    ],
)
def test_a_setting_takes_its_edges_and_nothing_beyond(name: str, taken: list[object], refused: list[object]) -> None:
    for value in taken:
        parse({name: value})
    for value in refused:
        with pytest.raises(InputError) as caught:
            parse({name: value})
        assert caught.value.field == f"settings.{name}"


def test_what_is_taken_is_what_was_given() -> None:
    assert parse({"lookup.second_read_s": 0}).second_read == timedelta(0)
    assert parse({"lookup.second_read_s": 1.5}).second_read == timedelta(seconds=1.5)
    assert parse({"rate.concurrency": 1000.0}).concurrency == 1000
    assert parse({"cap.invites_per_hour": 1}).invites_per_hour == 1
    assert parse({"result.reuse_within": 60}).reuse_within == timedelta(minutes=1)
    assert parse({"result.reuse_within": None}).reuse_within is None
    assert parse({"report.poll_schedule": [0]}).poll_schedule[0] == 0


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("invite.reinvite", "x", "one of never, if_not_started, always"),
        ("paths.invite", "x", "a path that begins with '/', without a query"),
        ("paths.report", "x", "a path that begins with '/' with {email} with {assessment_id}, without a query"),
    ],
)
def test_a_refusal_says_what_is_expected(name: str, value: object, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse({name: value})
    assert caught.value.expected == expected
    with pytest.raises(InputError) as unknown:
        parse({"x": 1})
    assert ", ".join(KNOWN) in unknown.value.remedy
