"""Deciding a stream again from its own log: with the same engine it must give the same decisions (P9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydantic_core import from_json

from trellis.common.contracts.envelope import decode
from trellis.common.contracts.identifiers import AccountId, ApplicationId, Visit
from trellis.workflow.adapters.event_store import Recorded
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import fold, initial_state
from trellis.workflow.domain.decisions import Message, SettleElapsed
from trellis.workflow.domain.rules import Workflow, Workflows
from trellis.workflow.domain.standing import respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A decision that came out otherwise: what the log holds and what was decided now."""

    version: int
    recorded: tuple[e.Event, ...]
    decided: tuple[e.Event, ...]


def redecide(
    account: AccountId,
    application: ApplicationId,
    log: Sequence[Recorded],
    versions: Mapping[tuple[str, int], Workflow],
) -> list[Difference]:
    """Return where deciding *log* again differs from what it records; it changes nothing.

    Args:
        account: The tenant.
        application: The application.
        log: Its whole stream, with the messages.
        versions: Every workflow version that the stream is pinned to.
    """
    state = initial_state(account, application)
    differences = []
    for _, group in groupby(log, key=lambda item: (item.message_id, item.handled_at)):
        recorded = list(group)
        events = [item.event for item in recorded]
        first = recorded[0]
        if first.message is not None:
            message = _message(application, first)
            pins = {pin for event in events if isinstance(event, e.PINNING) for pin in event.pins.items()}
            offered = [event for event in events if isinstance(event, e.EntryOffered)]
            workflows = Workflows(
                live=tuple(versions[pin] for pin in sorted(pins)),
                versions=versions,
                went_live=offered[0].went_live if offered else {},
            )
            decided = respond(state, message, workflows)
            if decided != events:
                difference = Difference(version=first.version, recorded=tuple(events), decided=tuple(decided))
                differences.append(difference)
        state = fold(state, events)
    return differences


def _message(application: ApplicationId, recorded: Recorded) -> Message:
    raw = from_json(recorded.message or b"{}")
    if "timer" in raw:
        data = SettleElapsed(application_id=application, visit=Visit(raw["visit"]))
        return Message(name="timer.settle_elapsed", data=data, handled_at=recorded.handled_at)
    envelope = decode(recorded.message or b"")
    return Message(name=envelope.type, data=envelope.data, handled_at=recorded.handled_at)  # type: ignore[arg-type]
