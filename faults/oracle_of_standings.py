"""Whether recruiters see in Greenhouse how each application stands, written once; a part of the oracle. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from faults.seen import Json, Seen, asked, by_application, moment
from faults.violations import Violation, violation

FIELD: Final = "trellis_standing"
MOST_EQUAL: Final = 4
"""Equal values written one after the other while things fail: each repeat is explained by one lost answer."""
_PROBLEM: Final = "Problem"
_WAITING: Final = "Waiting for a person"
_NEEDS_A_PERSON: Final = ("parked", "refused")


def written(seen: Seen) -> list[Json]:
    """Return every write of the field, in order."""
    return [one for one in seen.effects.get("fields", ()) if one["key"] == FIELD]


def shown(seen: Seen) -> Iterator[Violation]:
    """What recruiters see in the end is how the application stands in Greenhouse and in the story (P5)."""
    fields = by_application(written(seen))
    for application, (status, stage) in seen.standings.items():
        if application in seen.dead:
            continue
        last = fields.get(application, [])[-1:]
        text = last[0]["value"] if last else ""
        wanted = _wanted(seen, application, seen.stories.get(application, ()), status=status, stage=stage)
        if not any(text == word if not word else text.startswith(word) for word in wanted):
            yield violation(
                seen, "P5", application, f"recruiters see {text!r}, and it stands at {' or '.join(wanted)!r}"
            )


def shown_once(seen: Seen) -> Iterator[Violation]:
    """An equal value is not written again, but where the answer to the first was lost (P3)."""
    for application, writes in by_application(written(seen)).items():
        equal = 1
        for before, after in pairwise(writes):
            equal = equal + 1 if before["value"] == after["value"] else 1
            calm = seen.calm_since is not None and moment(before["at"]) > seen.calm_since
            if equal > MOST_EQUAL or (equal > 1 and calm):
                text = f"{after['value']!r} was shown {equal} times one after the other, at last at {after['at']}"
                yield violation(seen, "P3", application, text, "doubled")
                break


def _wanted(seen: Seen, application: int, story: Sequence[Json], *, status: str, stage: int | None) -> tuple[str, ...]:
    """Return how what is shown may begin; an empty text is nothing."""
    if status != "active" or stage != seen.watched_stage:
        return ("",)
    visit = next((step["visit"] for step in reversed(story) if _begins_a_visit(step)), None)
    if visit is None or any(not step["reason"] and step["visit"] == visit for step in asked(story, "excuse")):
        return ("",)
    taken_back = any(not step["reason"] and step["visit"] == visit for step in asked(story, "withdraw"))
    outcomes = {step["command_id"]: step for step in story if step["kind"] == "outcome" and step.get("visit") == visit}
    kinds = {"note", "move"} if taken_back else {"invite", "note", "move"}
    if any(step["effect"] in kinds and step["outcome"] in _NEEDS_A_PERSON for step in outcomes.values()):
        return (_PROBLEM,)
    erased = seen.erased.get(application)
    if erased is not None and erased.by_hand:
        return ("",)
    if any(step["kind"] == "fact" and step["text"].startswith("result of ") for step in _of(story, visit)):
        return ("Assessment finished", _WAITING)
    offers = [step for step in _of(story, visit) if step.get("offered")]
    invites = [step for step in outcomes.values() if step["effect"] == "invite"]
    if offers and not invites:
        return (_WAITING,)
    if any(step["outcome"] == "done" for step in invites) and not taken_back:
        return ("Assessment sent", "Assessment started")
    return ("", "Assessment started")


def _begins_a_visit(step: Json) -> bool:
    words = ("entered stage", "adopted as it is")
    return step["kind"] == "fact" and bool(step.get("visit")) and step["text"].startswith(words)


def _of(story: Sequence[Json], visit: str) -> list[Json]:
    return [step for step in story if step.get("visit") == visit]
