"""Stored JSON <-> events. A stored type name and version is a contract, free of class names.

An old version is lifted here when it is read, never rewritten; the tests keep one stored sample of each
version for ever.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from trellis.common.contracts.envelope import explain
from trellis.common.errors import PermanentError
from trellis.workflow.domain import events as e

STORED_TYPES: Final[dict[str, type]] = {
    "application_adopted.v1": e.ApplicationAdopted,
    "stage_entered.v1": e.StageEntered,
    "stage_passed.v1": e.StagePassed,
    "entry_offered.v1": e.EntryOffered,
    "stage_settled.v1": e.StageSettled,
    "status_changed.v1": e.StatusChanged,
    "application_deleted.v1": e.ApplicationDeleted,
    "candidate_changed.v1": e.CandidateChanged,
    "candidate_anonymized.v1": e.CandidateAnonymized,
    "candidate_erased.v1": e.CandidateErased,
    "fact_noted.v1": e.FactNoted,
    "rules_judged.v1": e.RulesJudged,
    "invite_requested.v1": e.InviteRequested,
    "order_taken.v1": e.OrderTaken,
    "attach_requested.v1": e.AttachRequested,
    "withdraw_requested.v1": e.WithdrawRequested,
    "note_requested.v1": e.NoteRequested,
    "move_requested.v1": e.MoveRequested,
    "approval_requested.v1": e.ApprovalRequested,
    "observation_requested.v1": e.ObservationRequested,
    "effect_settled.v1": e.EffectSettled,
    "assessment_started.v1": e.AssessmentStarted,
    "result_received.v1": e.ResultReceived,
    "standing_changed.v1": e.StandingChanged,
}
_NAMES: Final = {model: name for name, model in STORED_TYPES.items()}
_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {name: TypeAdapter(model) for name, model in STORED_TYPES.items()}


def to_stored(event: e.Event) -> tuple[str, bytes]:
    """Return the stored type name and JSON of *event*."""
    name = _NAMES[type(event)]
    return name, _ADAPTERS[name].dump_json(event)


def from_stored(name: str, body: bytes) -> e.Event:
    """Return the event stored under *name*.

    Raises:
        PermanentError: The name is unknown to this code, or the body does not fit it.
    """
    adapter = _ADAPTERS.get(name)
    if adapter is None:
        raise PermanentError(f"stored event type {name!r} is unknown to this version")
    try:
        event: e.Event = adapter.validate_json(body)
    except ValidationError as error:
        raise PermanentError(f"stored {name} does not fit: {explain(error)}") from None
    return event
