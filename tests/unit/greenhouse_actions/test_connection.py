"""What an account's settings make of its connection to Greenhouse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from trellis.common.contracts.identifiers import AccountId, UserId
from trellis.greenhouse_actions.connection import Connection, ConnectionSettings


def connection(api_version: str = "v3", **settings: Any) -> Connection:
    return Connection(
        account=AccountId("acme"),
        api_version=api_version,
        base_url="https://harvest.example",
        token_url="https://auth.example/token",
        service_user_id=UserId(9),
        settings=ConnectionSettings.parse({name.replace("__", "."): value for name, value in settings.items()}),
    )


def shown(made: Connection) -> dict[str, Any]:
    """Return what the adapters ask a connection for, by name."""
    return {
        "acts as": made.acting_user,
        "reads as": made.reading_user,
        "harvest": made.harvest_url,
        "tokens": made.tokens_url,
        "spaces": (made.spaces.first.value, made.spaces.other_allowed),
        "fields": [field.value for field in made.pace.fields],
        "delay": made.pace.delay,
        "second read": made.second_read,
        "retry": made.credential_retry,
        "note": (made.note_style.visibility, made.note_style.most_characters, made.note_style.escape_markup),
    }


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {}),
        ({"v3__sub": 5}, {"acts as": 5, "reads as": 5}),
        ({"v3__sub": "none"}, {"acts as": None, "reads as": None}),
        ({"v3__reads_as": "credential_account"}, {"reads as": None}),
        ({"v3__base_url": "https://other.example/v3/"}, {"harvest": "https://other.example/v3"}),
        ({"v1__base_url": "https://other.example/v1"}, {}),
        ({"v3__token_url": "https://other.example/token"}, {"tokens": "https://other.example/token"}),
        ({"v3__from_stage_space": "application_stage"}, {"spaces": ("application_stage", False)}),
        ({"reconcile__field": "updated_at"}, {"fields": ["updated_at"]}),
        ({"reconcile__delay": 1.5}, {"delay": timedelta(seconds=1.5)}),
        ({"verify__second_read_s": 2}, {"second read": timedelta(seconds=2)}),
        ({"credential__retry_s": 0.5}, {"retry": timedelta(seconds=0.5)}),
        ({"note__visibility": "admin_only"}, {"note": ("admin_only", 10_000, True)}),
        ({"note__max_chars": 300, "note__escape_markup": False}, {"note": ("public", 300, False)}),
    ],
)
def test_a_setting_changes_what_it_is_for_and_nothing_else(settings: dict[str, Any], changed: dict[str, Any]) -> None:
    assert shown(connection(**settings)) == shown(connection()) | changed


def test_harvest_v1_has_one_kind_of_stage_id_and_one_time() -> None:
    made = connection("v1", v3__sub=5, v3__from_stage_space="application_stage", v1__base_url="https://v1.example/")
    assert shown(made) == shown(connection()) | {
        "spaces": ("job_interview_stage", False),
        "harvest": "https://v1.example",
        "fields": ["last_activity_at"],
    }
