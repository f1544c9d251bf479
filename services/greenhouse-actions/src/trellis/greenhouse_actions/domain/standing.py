"""How an application stands becomes a custom field's text, or a note; and what Greenhouse's answer to it means. Pure.

Sources: the update of an application and its route in both versions: the vendor's Harvest documents and its guide to
moving writes to v3; the scope of v3: two public clients. The shape of custom fields in v3 is not documented: a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from trellis.common.contracts.commands import AddNote, Origin, ShowStanding, Standing
from trellis.common.contracts.identifiers import ApplicationId, CommandId, stable_id
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut, NeverLeft, Reply
from trellis.greenhouse_actions.domain.requests import HarvestRequest, Route

LONGEST: Final = 250
"""Signs of a short text: Greenhouse takes fewer than 255 (fact sheet, section 1)."""
ASK_AGAIN: Final = timedelta(hours=1)
"""How soon it is tried again whether the credential and the field allow it."""
_MOST_HIDDEN: Final = 18
_WORDS: Final = {
    Standing.INVITED: "Assessment sent",
    Standing.STARTED: "Assessment started",
    Standing.FINISHED: "Assessment finished",
    Standing.WAITING: "Waiting for a person",
    Standing.PROBLEM: "Problem",
}
_FOR_A_PERSON: Final = (Standing.WAITING, Standing.PROBLEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Greenhouse does not show the application: it is deleted, or it may be shown again some day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAllowed:
    """The credential or the field does not allow it, for any application."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLater:
    """It may be there or not; writing it again changes nothing. *wait* None is the usual back-off."""

    reason: str
    wait: timedelta | None = None


Said = Done | Hidden | NotAllowed | TryLater


def text_of(standing: Standing | None, detail: str) -> str:
    """Return what is shown, at most `LONGEST` signs; empty takes it back."""
    if standing is None:
        return ""
    text = f"{_WORDS[standing]}: {detail}" if detail else _WORDS[standing]
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def standing_request(application: ApplicationId, field: str, shape: str, text: str) -> HarvestRequest:
    """Return the update that sets the custom field *field*, or empties it.

    Args:
        shape: `list`: of objects with `name_key` and `value`, or `delete_value`, since an empty value is refused; or
            `keyed`: one object, null empties.
    """
    fields: object
    if shape == "keyed":
        fields = {field: text or None}
    else:
        fields = [{"name_key": field, "value": text} if text else {"name_key": field, "delete_value": "true"}]
    return HarvestRequest(
        route=Route.STANDING, path=f"/applications/{int(application)}", body={"custom_fields": fields}, method="PATCH"
    )


def classify(reply: Reply, field: str) -> Said:
    """Return what *reply* to the update means; a repeated one does no harm, so what is not known is tried again."""
    match reply:
        case NeverLeft(reason=reason, wait=wait):
            return TryLater(reason=reason, wait=wait)
        case Cut(reason=reason):
            return TryLater(reason=reason)
        case Answered(status=status) if status < 300:
            return Done()
        case Answered(status=404):
            return Hidden()
        case Answered(status=403, denied=denied) if denied is not None:
            return NotAllowed(reason=denied.reason, remedy=denied.remedy)
        case Answered(status=403):
            return NotAllowed(
                reason=f"the credential lacks the permission {Route.STANDING.scope} (Update Application)",
                remedy="tick it in Greenhouse, or set standing.show to note or off",
            )
        case Answered(status=422 | 400):
            return NotAllowed(
                reason=f"applications have no custom field {field} that takes a text",
                remedy="make a custom field of applications with this immutable key, a short text; or set standing.field",
            )
        case Answered(status=status, retry_after=wait):
            return TryLater(reason=f"Greenhouse answered {status}", wait=wait)


def wait_for_hidden(tries: int) -> timedelta | None:
    """Return how long to wait for an application that was not shown so often; None gives it up, after half a day."""
    return timedelta(seconds=min(30 * 2**tries, 3600)) if tries < _MOST_HIDDEN else None


def note_of(command: ShowStanding, shown: str) -> AddNote | None:
    """Return the note that tells of a problem, or of the end of the one that is *shown*; None when none is due.

    Notes cannot be changed, so each problem and each end is one; what is no problem is not noted.
    """
    if command.visit is None or command.stage_id is None:
        return None
    text = text_of(command.standing, command.detail)
    if command.standing not in _FOR_A_PERSON:
        if not shown:
            return None
        text = "Solved. It was: " + shown
    return AddNote(
        command_id=CommandId(stable_id("standing note", command.command_id)),
        application_id=command.application_id,
        candidate_id=command.candidate_id,
        job_id=command.job_id,
        visit=command.visit,
        stage_id=command.stage_id,
        text=text,
        origin=Origin(workflow="", version=0, rule="", reason="how the application stands"),
    )


def shown_in_notes(command: ShowStanding) -> str:
    """Return what is known to be told by notes after *command*: a problem, or nothing."""
    return text_of(command.standing, command.detail) if command.standing in _FOR_A_PERSON else ""
