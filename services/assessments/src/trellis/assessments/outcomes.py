"""What came of a person's order about an invite, and what an invite is unique by. Pure."""

from __future__ import annotations

from trellis.assessments.results import SOURCE
from trellis.common.contracts.commands import Action, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import CommandId, stable_id
from trellis.common.contracts.outcomes import CommandSettled, OutcomeState


def unique_key(command: SendInvite) -> str:
    """Return what an invite is unique by, within its account."""
    return f"{command.visit}/{command.application_id}/{command.assessment_id}"


def settled_by_hand(
    envelope: Envelope, command: CommandId, action: Action, invite: SendInvite, reason: str, *, refused: bool = False
) -> Envelope:
    """Return the message that tells what came of an order; it has one id however often it is told.

    Args:
        envelope: That of the order's command.
        command: Its id.
        action: What was ordered.
        invite: The invite that it is about.
        reason: What came of it, or why nothing did.
        refused: Nothing did.
    """
    data = CommandSettled(
        command_id=command,
        action=action,
        application_id=invite.application_id,
        visit=invite.visit,
        state=OutcomeState.REFUSED if refused else OutcomeState.DONE,
        settled_at=envelope.time,
        reason=reason,
        assessment_id=invite.assessment_id,
    )
    return Envelope(
        id=stable_id("settled", command),
        source=SOURCE,
        accountid=envelope.accountid,
        time=envelope.time,
        data=data,
        correlationid=envelope.correlationid,
        causationid=str(command),
        subject=f"application/{invite.application_id}",
    )
