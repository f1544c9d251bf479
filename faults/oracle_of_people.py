"""Whether a person's orders were obeyed once, and nothing is kept of whoever was erased; a part of the oracle. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from faults.oracle_of_standings import written
from faults.seen import ORDERS, Json, Seen, asked, mailed, moment, own_moves
from faults.violations import Violation, violation

MECHANISMS: Final = (
    "webhooks_missed",
    "found_by_reconciliation",
    "standings_shown",
    "by_hand",
    *(f"{word}_by_hand" for word in ORDERS),
    "offers_accepted",
    "erased",
    "anonymised",
    "effects_through_v1",
    "secrets_rotated",
)
"""What the last line counts besides faults and effects; 0 means that a run never came by it."""
READING_AGE: Final = timedelta(seconds=10)
_FOUND: Final = "told by reconciliation"


def exercised(seen: Seen) -> dict[str, int]:
    """Return how often each mechanism was seen to work in this account."""
    steps = [step for story in seen.stories.values() for step in story]
    carried_out = {
        word: sum(not step["reason"] for story in seen.stories.values() for step in asked(story, word))
        for word in ORDERS
    }
    through_v1 = len(seen.effects["notes"]) + len(own_moves(seen)) if seen.api_version == "v1" else 0
    return {
        "webhooks_missed": sum(
            one["vendor"] == "greenhouse" and one.get("state") == "dropped" for one in seen.deliveries
        ),
        "found_by_reconciliation": sum(step["kind"] == "fact" and _FOUND in step["text"] for step in steps),
        "standings_shown": sum(bool(one["value"]) for one in written(seen)),
        "by_hand": sum(carried_out.values()),
        **{f"{word}_by_hand": count for word, count in carried_out.items()},
        "offers_accepted": sum(_is_accepted(story) for story in seen.stories.values()),
        "erased": sum(one.by_hand and not one.kept for one in seen.erased.values()),
        "anonymised": sum(not one.by_hand and not one.kept for one in seen.erased.values()),
        "effects_through_v1": through_v1,
        "secrets_rotated": int(_is_used(seen)),
    }


def _is_accepted(story: Sequence[Json]) -> bool:
    """Whether an entry that was offered led to an invite."""
    return any(step.get("offered") for step in story) and any(step.get("effect") == "invite" for step in story)


def _is_used(seen: Seen) -> bool:
    """Whether a webhook that the new secret signs was accepted."""
    return seen.rotated_at is not None and any(
        attempt["status"] == 200 and moment(attempt["at"]) > seen.rotated_at
        for one in seen.deliveries
        if one["vendor"] == "greenhouse" and one["event"] != "ping"
        for attempt in one["attempts"]
    )


# -- orders by hand


def orders_taken(seen: Seen) -> Iterator[Violation]:
    """Each order that was taken is in the story, carried out or refused with a reason; an attached result comes."""
    for order in seen.orders:
        story = seen.stories.get(order.application, ())
        told = asked(story, order.word)
        if len(told) < order.count and order.application not in seen.dead:
            text = f"{order.count} orders to {order.word} were taken, the story tells of {len(told)}"
            yield violation(seen, "P2", order.application, text, "lost")
    for application, story in seen.stories.items():
        done = any(step.get("effect") == "attach" and step["outcome"] == "done" for step in story)
        if done and application not in seen.erased and not any(step["text"].startswith("result of ") for step in story):
            yield violation(seen, "P2", application, "a result was attached and is not in the story", "lost")


def orders_obeyed(seen: Seen) -> Iterator[Violation]:
    """An order given twice is carried out once, and what a person took back is not judged."""
    for application, story in seen.stories.items():
        carried_out = Counter(
            (word, step["visit"]) for word in ORDERS for step in asked(story, word) if not step["reason"]
        )
        for (word, _visit), times in carried_out.items():
            if times > 1:
                text = f"the order to {word} was carried out {times} times in one stage visit"
                yield violation(seen, "P3", application, text, "doubled")
        for word in ("withdraw", "excuse"):
            for taken in asked(story, word):
                if taken["reason"]:
                    continue
                for step in story:
                    if _acts_on(step, taken):
                        text = f"{step['effect']} asked for after the order to {word}"
                        yield violation(seen, "P4", application, text)


def _acts_on(step: Json, order: Json) -> bool:
    """Whether *step* asks for an effect of a result in the stage visit that *order* took the test out of."""
    is_effect = step["kind"] == "command" and step["effect"] in {"note", "move"}
    return is_effect and step["visit"] == order["visit"] and step["version"] > order["version"]


# -- P8: of erased people nothing is kept


def erased(seen: Seen) -> Iterator[Violation]:
    """What is kept of an erased person, or not told of the erasure; empty once it has come to its end."""
    for application, one in seen.erased.items():
        for place in one.kept:
            yield violation(seen, "P8", application, f"its person was erased, and {place} is kept")
        words = "the person was erased by hand" if one.by_hand else "the candidate was anonymised"
        told = any(step["text"].startswith(words) for step in seen.stories.get(application, ()))
        if not told and application not in seen.dead:
            yield violation(seen, "P2", application, "its person was erased, and the story does not say so", "lost")


def erased_for_good(seen: Seen) -> Iterator[Violation]:
    """Nobody is mailed after the erasure, but for what was being sent."""
    allowed = READING_AGE + seen.delays.get("invite", timedelta())
    for invite in mailed(seen):
        one = seen.erased.get(seen.people.get(invite["email"], 0))
        if one is not None and moment(invite["at"]) > one.at + allowed:
            text = f"invited at {invite['at']}, after its person was erased"
            yield violation(seen, "P8", seen.people[invite["email"]], text)
