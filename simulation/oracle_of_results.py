"""Judges what became of results; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulation.twins.memory import Row
from trellis.common.contracts.outcomes import AssessmentCompleted
from trellis.common.ledger.states import State
from trellis.workflow.domain import events as e

if TYPE_CHECKING:
    from simulation.world import World


def results(world: World) -> Iterator[str]:
    """Return every broken promise about results."""
    yield from _results_arrive(world)


def _results_arrive(world: World) -> Iterator[str]:
    """What a reviewer said last, and Coderbyte's webhook told, is the latest result in the log, unless one was attached.

    One that was attached may be reused for another application of the same person.
    """
    latest: dict[tuple[Any, ...], Any] = {}
    for row in world.memories["workflow"].table("event").values():
        if isinstance(event := row["recorded"].event, e.ResultReceived):
            key = row["account"], event.result.application_id, event.result.visit, event.result.assessment_id
            if key not in latest or latest[key].result_version < event.result.result_version:
                latest[key] = event.result
    invites = world.memories["assessments"].table("invite").values()
    attached = {
        (row["account"], row["application_id"], row["assessment_id"])
        for row in invites
        if row["attached_body_id"] is not None
    }
    held = {
        row["id"]
        for row in world.memories["assessments"].table("intent").values()
        if row["state"] is State.IN_DOUBT and world.put_back_at is not None
    }
    unsure = {(row["account"], row["address"]) for row in invites if row["command_id"] in held}
    for invite in invites:
        if (invite["account"], invite["address"]) in unsure:
            continue  # after a restore nobody can tell of which invite a result is, until a person says so
        if invite["follow_kind"] == "earlier":
            continue  # the earlier invite's result stands for it, which may have gone to another address of the person
        address = None if invite["address"] is None else invite["address"].decode()
        score = world.reviewed.get((invite["account"], address)) if address else None
        key = tuple(invite[name] for name in ("account", "application_id", "visit", "assessment_id"))
        source = world.memories["assessments"].table("invite").get(invite["follows"], invite)
        is_attached = any(
            (row["account"], row["application_id"], row["assessment_id"]) in attached for row in (invite, source)
        )
        result = None if is_attached else latest.get(key)
        if result is not None and world.put_back_at is not None and _is_of_another_life(world, source, result):
            continue  # it was under way at a restore that nobody noticed, and has the number of what came after
        if score is not None and result is not None and result.score != score:
            yield f"P2: a reviewer gave {address} of {invite['account']} {score} of 100, the log has {result.score}"


def _is_of_another_life(world: World, invite: Row, result: AssessmentCompleted) -> bool:
    """Whether the databases, as they are since they were put back, have another result under its number."""
    kept = world.memories["assessments"].table("result").get((invite["command_id"], result.result_version))
    return kept is not None and kept["stored"].result.score != result.score
