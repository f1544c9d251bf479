"""Judges what came of a person's orders by hand; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e

if TYPE_CHECKING:
    from simulation.world import World


def orders(world: World) -> Iterator[str]:
    """Return every broken promise about orders."""
    yield from _attached_results_arrive(world)


def _attached_results_arrive(world: World) -> Iterator[str]:
    """Every order to attach a result ends, and what was attached is in the log once, with its score."""
    settled: dict[Any, Any] = {}
    asked, results = [], set()
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, e.AttachRequested):
            asked.append((row["account"], row["stream"], event))
        elif isinstance(event, e.EffectSettled):
            settled[event.command_id] = event.state
        elif isinstance(event, e.ResultReceived):
            results.add((row["stream"], event.result.visit))
    invites = world.memories["assessments"].table("invite")
    for account, stream, event in asked:
        state = settled.get(event.command_id)
        if state is None:
            yield f"P5: a result was to be attached by {event.command_id} of {account}, and nothing says what came of it"
        elif state is OutcomeState.DONE and (stream, event.visit) not in results:
            invite = invites.get(event.invite_id)
            if invite is not None and invite["erased_at"] is None:
                yield f"P5: a result was attached by {event.command_id} of {account} and never came"
