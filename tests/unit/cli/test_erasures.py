"""The journal of erasures as a file: read strictly, nothing of a wrong line repeated; and what a restore still waits for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from trellis.cli import asking, main, restored
from trellis.cli.erasures import Erased, journal_of, kept_lines
from trellis.cli.restoring import restoration_lines
from trellis.common.errors import InputError

LINE = '{"account":"acme","candidate":100,"when":"2026-11-24T09:00:00+00:00","why":"by_hand"}'
KEPT: dict[str, Any] = {
    "why": None, "merged_into": None, "invite_count": 2, "address_count": 1, "report_count": 3, "open_count": 4
}  # fmt: skip


def test_a_journal_is_read_line_by_line() -> None:
    (one, other) = journal_of([LINE, "", "  \n", LINE.replace("100", "7").replace("by_hand", "deleted")])
    assert (one.account, one.candidate, one.why) == ("acme", 100, "by_hand")
    assert (other.candidate, other.why) == (7, "deleted")
    assert journal_of([one.model_dump_json()]) == [one]
    assert Erased.model_fields.keys() == {"account", "candidate", "when", "why"}


@pytest.mark.parametrize(
    "line",
    ["jane@mail.example", LINE.replace("100", '"jane"'), LINE.replace("acme", "Jane Doe"), LINE.replace("by_hand", "jane"),
     LINE.replace("}", ',"name":"jane"}'), LINE.replace("+00:00", ""), LINE.replace("100", "0")],
)  # fmt: skip
def test_a_line_that_is_none_is_named_and_not_repeated(line: str) -> None:
    with pytest.raises(InputError) as raised:
        journal_of([LINE, line])
    assert "line 2" in str(raised.value)
    assert "jane" not in str(raised.value).lower()


def test_what_is_kept_is_told_before_the_order() -> None:
    assert kept_lines(100, KEPT) == [
        "candidate 100: not erased",
        "  invites  2, 1 with an address",
        "  reports  3",
        "  open     4 effects are to be done or decided",
    ]
    assert kept_lines(100, KEPT | {"why": "by_hand"})[0] == "candidate 100: erased by hand"


@pytest.mark.parametrize(
    ("replayed", "said", "ends"), [(False, (), False), (False, ("--without-erasures",), True), (True, (), True)]
)
def test_a_restore_does_not_end_before_the_erasures_were_applied_again(
    monkeypatch: pytest.MonkeyPatch, replayed: bool, said: tuple[str, ...], ends: bool
) -> None:
    found = {"services": {}, "is_on": True, "not_compared": [], "erasures_replayed": replayed}
    ended: list[str] = []

    async def end(_clients: Any, by: str) -> None:
        ended.append(by)

    async def state(_clients: Any) -> dict[str, Any]:
        return found

    monkeypatch.setattr(asking, "end_restoration", end)
    monkeypatch.setattr(asking, "restoration", state)
    monkeypatch.setattr(restored, "with_clients", lambda question: _run(question))
    outcome = CliRunner().invoke(main.cli, ["restored", "end", "--yes", *said])
    assert (outcome.exit_code == 0, bool(ended)) == (ends, ends)
    assert ("erasures replay" in outcome.output) is not replayed
    assert any("erasures" in line for line in restoration_lines(found)) is not replayed


class Asked:
    """Services that remember what they were asked, in order; both effect services are in restored mode or not."""

    def __init__(self, ended_at: str | None) -> None:
        self.ended_at = ended_at
        self.calls: list[tuple[str, str, Any]] = []

    def __getitem__(self, service: str) -> Any:
        async def call(method: str, path: str, body: Any = None) -> Any:
            if method != "GET":
                self.calls.append((service, path.removeprefix("/internal/v1/"), body))
            hour = "09" if service == "assessments" else "10"
            return {"restoration": {"as_of": f"2026-11-24T{hour}:30:00+00:00", "ended_at": self.ended_at}}

        return SimpleNamespace(call=call)


def test_before_restored_mode_ends_the_workflow_sends_what_was_under_way_at_the_backup_again() -> None:
    clients = Asked(None)
    asyncio.run(asking.end_restoration(clients, "me"))  # type: ignore[arg-type]
    first, *ends = clients.calls
    assert first == ("workflow", "outbox/again", {"since": "2026-11-24T08:30:00+00:00"})
    assert [(service, path) for service, path, _ in ends] == [
        ("greenhouse-actions", "restoration"), ("assessments", "restoration"),
    ]  # fmt: skip


def test_where_restored_mode_has_ended_nothing_is_sent_again() -> None:
    clients = Asked("2026-11-24T12:00:00+00:00")
    asyncio.run(asking.end_restoration(clients, "me"))  # type: ignore[arg-type]
    assert {service for service, _, _ in clients.calls} == {"greenhouse-actions", "assessments"}


def _run(question: Any) -> Any:
    return asyncio.run(question(None))
