"""A recruiter's tag on a candidate keeps Trellis off every application of that candidate. Pure."""

from __future__ import annotations

from trellis.common.ledger.effects import Blocked, Overtaken
from trellis.greenhouse_actions.domain.readings import CandidateView

KEPT_OFF = Overtaken(reason="a recruiter's tag keeps Trellis off")
_UNSEEN = Blocked(
    reason="the candidate is not visible to the service user, so nobody knows whether a tag keeps Trellis off",
    remedy="give the service user the right to see private candidates, then redrive; or take keep_off.tag away",
)


def kept_off(candidate: CandidateView | None, tag: str | None) -> Overtaken | Blocked | None:
    """Return why nothing may be done to *candidate*'s applications; None when it may.

    Args:
        candidate: As just read; None when Greenhouse does not show the person.
        tag: The account's `keep_off.tag`, compared without regard to case and spaces; None looks at no tags.
    """
    if tag is None:
        return None
    if candidate is None:
        return _UNSEEN
    wanted = _bare(tag)
    return KEPT_OFF if any(_bare(one) == wanted for one in candidate.tags) else None


def _bare(tag: str) -> str:
    return " ".join(tag.split()).casefold()
