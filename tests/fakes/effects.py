"""An effect whose vendor is scripted: what it answers, whether it acts, what a reading shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from trellis.common.contracts.commands import Action, AddNote, MoveApplication, Origin
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
    command_id,
    stable_id,
)
from trellis.common.ledger import effects as x


class ScriptedEffect:
    """Counts what the vendor did; each script is a function that a test replaces."""

    action = Action.NOTE
    vendor = "greenhouse"
    request_seconds = 1.0

    def __init__(self) -> None:
        self.made: list[CommandId] = []
        self.prepared = 0
        self.looked_up = 0
        self.capped: int | None = None
        self.on_prepare: Callable[[x.Intent], x.Preparation] = lambda _: x.Ready(request="r", read_at=time.monotonic())
        self.on_send: Callable[[x.Intent], x.Answer] = self.succeed
        self.on_look_up: Callable[[x.Intent], x.LookUp] = self.tell_truth
        self.second_read_time = timedelta(milliseconds=50)
        self.retry_time = timedelta(milliseconds=50)

    def succeed(self, intent: x.Intent) -> x.Answer:
        self.made.append(intent.id)
        return x.Succeeded()

    def lose_answer(self, intent: x.Intent) -> x.Answer:
        self.made.append(intent.id)
        return x.Ambiguous(reason="the answer was lost")

    def tell_truth(self, intent: x.Intent) -> x.LookUp:
        return x.Found(reason="it is there") if intent.id in self.made else x.NotSeen(reason="it is not there")

    async def prepare(self, account: AccountId, intents: Sequence[x.Intent]) -> Mapping[CommandId, x.Preparation]:
        self.prepared += 1
        return {intent.id: self.on_prepare(intent) for intent in intents}

    async def reserve(self, intent: x.Intent) -> timedelta | None:
        return None

    async def send(self, intent: x.Intent, request: object) -> x.Answer:
        return self.on_send(intent)

    async def look_up(self, intent: x.Intent) -> x.LookUp:
        self.looked_up += 1
        return self.on_look_up(intent)

    async def cap(self, account: AccountId) -> int | None:
        return self.capped

    async def second_read(self, account: AccountId) -> timedelta:
        return self.second_read_time

    async def credential_retry(self, account: AccountId) -> timedelta:
        return self.retry_time


def note_command(
    application: int = 1,
    account: str = "acme",
    ordinal: str = "r#0",
    workflow: str = "w",
    began_at: datetime | None = None,
) -> Envelope:
    """A command to write a note, in its envelope; its stage visit began at *began_at*."""
    ident = command_id(AccountId(account), ApplicationId(application), Visit("n1"), "note", ordinal)
    return _enveloped(
        account,
        AddNote(
            command_id=ident,
            application_id=ApplicationId(application),
            candidate_id=CandidateId(application + 1000),
            job_id=JobId(1),
            visit=Visit("n1"),
            stage_id=StageId(1),
            text="text",
            origin=Origin(workflow=workflow, version=1, rule="r", reason="because"),
            began_at=began_at,
        ),
    )


def notes_begun_around(at: datetime) -> tuple[Envelope, Envelope, Envelope]:
    """Commands to write notes, of stage visits begun an hour before *at*, nobody knows when, and a minute after *at*."""
    return (
        note_command(4, began_at=at - timedelta(hours=1)),
        note_command(5),
        note_command(6, began_at=at + timedelta(minutes=1)),
    )


def move_command(application: int = 1, account: str = "acme") -> Envelope:
    """A command to move an application, in its envelope."""
    ident = command_id(AccountId(account), ApplicationId(application), Visit("n1"), "move", "r#1")
    return _enveloped(
        account,
        MoveApplication(
            command_id=ident,
            application_id=ApplicationId(application),
            candidate_id=CandidateId(application + 1000),
            job_id=JobId(1),
            visit=Visit("n1"),
            from_stage_id=StageId(1),
            origin=Origin(workflow="w", version=1, rule="r", reason="because"),
        ),
    )


def _enveloped(account: str, data: AddNote | MoveApplication) -> Envelope:
    return Envelope(
        id=stable_id("message", data.command_id),
        source="trellis/workflow",
        accountid=AccountId(account),
        time=datetime.now(UTC),
        data=data,
        correlationid="c",
    )
