"""Whom may be invited, now, and at which address? Pure.

Source: design section 3, step 4; greenhouse fact sheet, sections 2.5 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trellis.common.contracts.identifiers import ApplicationId, CandidateId, StageId, Visit
from trellis.common.ledger.effects import Blocked, Overtaken
from trellis.greenhouse_actions.domain.effects import is_other_visit, stands_still
from trellis.greenhouse_actions.domain.keeping_off import kept_off
from trellis.greenhouse_actions.domain.readings import Address, ApplicationView, CandidateView, Missing

MENDED_BY = "candidate.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One application that `assessments` would invite: it must still be in this visit of this stage."""

    application_id: ApplicationId
    stage_id: StageId
    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitable:
    """The invite may go, to this address."""

    candidate_id: CandidateId
    address: str = field(repr=False)
    address_count: int = 1


def still_there(asked: Asked, shown: ApplicationView | Missing) -> ApplicationView | Overtaken | Blocked:
    """Return the application if it is still in the visit it was to be invited in (P4)."""
    stood = stands_still(shown, None)
    if not isinstance(stood, ApplicationView):
        return stood
    if stood.stage_id != asked.stage_id:
        return Overtaken(reason=f"Greenhouse shows {stood.shown_stage}; Trellis left it alone")
    if is_other_visit(asked.visit, stood):
        return Overtaken(reason=f"it left {stood.shown_stage} and came back: a new visit; Trellis left it alone")
    return stood


def judge(
    candidate: CandidateView | None, *, allow_private: bool, keep_off: str | None = None
) -> Invitable | Blocked | Overtaken:
    """Return the address to invite, or what is missing.

    Args:
        candidate: As just read; None when Greenhouse does not show the person.
        allow_private: The account lets private candidates and those who want no mail be invited.
        keep_off: The tag by which a recruiter keeps Trellis off; None looks at no tags.
    """
    if candidate is None:
        return Blocked(
            reason="the candidate is not visible to the service user",
            remedy="give the service user the right to see private candidates, then redrive",
            mended_by=MENDED_BY,
        )
    stopped = kept_off(candidate, keep_off)
    if stopped is not None:
        return stopped
    if candidate.private and not allow_private:
        return Blocked(
            reason="the candidate is private in Greenhouse",
            remedy="make the candidate public, or set invite.allow_private for the account",
            mended_by=MENDED_BY,
        )
    if not candidate.can_email and not allow_private:
        return Blocked(
            reason="the candidate may not be e-mailed, says Greenhouse",
            remedy="allow e-mail for the candidate, or set invite.allow_private for the account",
            mended_by=MENDED_BY,
        )
    chosen = choose_address(candidate.addresses)
    if chosen is None:
        return Blocked(
            reason="the candidate has no e-mail address in Greenhouse",
            remedy="add an address to the candidate in Greenhouse; Trellis goes on by itself",
            mended_by=MENDED_BY,
        )
    return Invitable(candidate_id=candidate.id, address=chosen, address_count=len(candidate.addresses))


def choose_address(addresses: tuple[Address, ...]) -> str | None:
    """Return the first address of type `personal`, else the first one; blank ones do not count."""
    usable = [address for address in addresses if address.value.strip()]
    personal = [address for address in usable if address.type.strip().lower() == "personal"]
    return next((address.value.strip() for address in personal or usable), None)
