"""What is parked is asked of every service, a person's word goes to the one that has it, and a story tells of messages."""

from __future__ import annotations

from typing import Any, cast

import pytest

from trellis.cli import asking
from trellis.cli.environment import SERVICES, Clients
from trellis.common.errors import PermanentError, TransientError

Answers = dict[tuple[str, str], Any]
BASE = "/internal/v1/accounts/acme"
LETTER = {
    "id": "m1", "type": "application.stage_changed", "subject": "application/7", "cause": "a bug: KeyError",
    "remedy": "mend it", "ends_process": False, "attempts": 4, "redriven_count": 0, "since": "2026-11-24T09:00:00",
}  # fmt: skip
EFFECT = {
    "id": "e1", "application_id": 8, "action": "invite", "cause": "no address", "remedy": "add one",
    "in_doubt": False, "since": "2026-11-24T08:00:00",
}  # fmt: skip


class Service:
    """One service's client: what it answers by method and path, and what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    async def call(self, method: str, path: str, body: object | None = None) -> Any:
        self.asked.append((method, path, body))
        empty = {"dead_letters": []} if "/dead-letters" in path else {"parked": [], "intents": []}
        answer = self.answers.get((method, path.partition("?")[0]), empty)
        if isinstance(answer, Exception):
            raise answer
        return answer


def services(**answers: Answers) -> tuple[Clients, dict[str, Service]]:
    made = {name: Service(answers.get(name.replace("-", "_"), {})) for name in SERVICES}
    return cast(Clients, made), made


async def test_effects_and_messages_of_all_services_are_one_list_the_oldest_first() -> None:
    clients, _ = services(
        workflow={("GET", f"{BASE}/dead-letters"): {"dead_letters": [LETTER]}},
        assessments={("GET", f"{BASE}/parked"): {"parked": [EFFECT]}},
    )
    rows = await asking.parked(clients, "acme")
    assert [(row.id, row.service, row.application_id) for row in rows] == [
        ("e1", "assessments", 8),
        ("m1", "workflow", 7),
    ]


async def test_what_does_not_say_whose_it_is_is_asked_for_without_an_account() -> None:
    clients, made = services(ingest={("GET", "/internal/v1/dead-letters"): {"dead_letters": [LETTER]}})
    assert [row.service for row in await asking.parked(clients, None)] == ["ingest"]
    assert all("/accounts/" not in path for service in made.values() for _, path, _ in service.asked)


async def test_a_persons_word_goes_to_the_service_that_has_the_row_and_one_refusal_stops_nothing() -> None:
    clients, made = services(
        workflow={
            ("GET", f"{BASE}/dead-letters"): {"dead_letters": [LETTER]},
            ("POST", f"{BASE}/dead-letters/m1/drop"): PermanentError(
                "workflow answered 409: a message that is dropped"
            ),
        },
        assessments={
            ("GET", f"{BASE}/parked"): {"parked": [EFFECT]},
            ("POST", f"{BASE}/intents/e1/drop"): {"state": "superseded"},
        },
    )
    rows = sorted(await asking.parked(clients, "acme"), key=lambda row: row.id, reverse=True)
    said = await asking.settle_all(clients, "acme", "drop", rows, by="cli:anna", reason="asked")
    assert said == {"m1": "not done: workflow answered 409: a message that is dropped", "e1": "superseded"}
    assert made["assessments"].asked[-1][2] == {"by": "cli:anna", "reason": "asked"}


async def test_a_story_tells_of_its_messages_also_where_the_log_knows_nothing_else() -> None:
    dead = {("GET", f"{BASE}/dead-letters"): {"dead_letters": [LETTER]}}
    unknown = {("GET", f"{BASE}/applications/7/story"): PermanentError("workflow answered 404: nothing is known")}
    clients, made = services(workflow=dead | unknown)
    story = await asking.why(clients, 7, "acme")
    (step,) = story["steps"]
    assert (step["kind"], step["at"], step["remedy"]) == ("message", LETTER["since"], "mend it")
    assert step["text"] == (
        "workflow could not handle application.stage_changed: a bug: KeyError; it waits in `trellis parked list`"
    )
    assert ("GET", f"{BASE}/dead-letters?subject=application/7", None) in made["ingest"].asked
    clients, _ = services(workflow=unknown)
    with pytest.raises(PermanentError, match="nothing is known"):
        await asking.why(clients, 7, "acme")


async def test_a_service_that_is_away_is_named_once_in_the_story() -> None:
    away = {
        ("GET", f"{BASE}/dead-letters"): TransientError("away"),
        ("GET", f"{BASE}/applications/7/intents"): TransientError("away"),
    }
    clients, _ = services(workflow={("GET", f"{BASE}/applications/7/story"): {"steps": []}}, assessments=away)
    steps = (await asking.why(clients, 7, "acme"))["steps"]
    assert [step["text"] for step in steps] == ["assessments cannot be reached: what it knows is missing here"]
