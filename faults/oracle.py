"""Whether the promises held, judged from outside. Pure.

It reads what entered (the deliveries that were answered 200), what the vendors saw, what people did, and the
story that `trellis why --json` tells. It shares no code and no rule with what it judges.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from faults.oracle_of_people import erased, erased_for_good, exercised, orders_obeyed, orders_taken
from faults.oracle_of_standings import shown, shown_once
from faults.seen import (
    Json,
    Seen,
    acts_of,
    by_application,
    effects_of,
    entries_of,
    mailed,
    moment,
    orders_of,
    own_moves,
    parsed,
    texts,
)
from faults.violations import Violation, violation

READING_AGE: Final = timedelta(seconds=10)
"""How old the reading before an effect may be (P4)."""
ENDS: Final = frozenset({"done", "refused", "superseded"})
_REFERENCE: Final = re.compile(r"\[ref (tr-[^\]\s]+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Counts:
    """What an account's run amounts to."""

    deliveries: int
    effects: int
    held: int
    """Invites in doubt, of which nobody can tell whether they arrived."""
    parked: int
    turned_away: int
    """Deliveries that were answered 503 once or more, to be made again."""
    exercised: Mapping[str, int] = field(default_factory=dict)
    """How often each of `oracle_of_people.MECHANISMS` was seen to work."""


def check(seen: Seen) -> list[Violation]:
    """Return every violation of P1 to P9, and what has not come to its end."""
    return [
        *_one_invite(seen),
        *_one_effect(seen),
        *_recruiter_wins(seen),
        *_apart(seen),
        *_same_again(seen),
        *_answered(seen),
        *orders_obeyed(seen),
        *erased_for_good(seen),
        *shown_once(seen),
        *unfinished(seen),
    ]


def unfinished(seen: Seen) -> list[Violation]:
    """Return what is accepted and in no story, and what has neither ended nor is parked: empty when settled."""
    return [
        *(*_accepted(seen), *_invited(seen), *_ended(seen), *_listed(seen)),
        *(*orders_taken(seen), *erased(seen), *shown(seen)),
    ]


def count(seen: Seen) -> Counts:
    """Return the figures of one account."""
    outcomes = [step for story in seen.stories.values() for step in _latest(story).values()]
    held = sum(step.get("state") == "in_doubt" for step in outcomes)
    return Counts(
        deliveries=sum(1 for _ in _delivered(seen)),
        effects=len(mailed(seen)) + len(seen.effects["notes"]) + len(own_moves(seen)),
        held=held,
        parked=sum(step["outcome"] == "parked" for step in outcomes) - held,
        turned_away=sum(any(one["status"] == 503 for one in each["attempts"]) for each in seen.deliveries),
        exercised=exercised(seen),
    )


# -- P1, P3: one effect


def _one_invite(seen: Seen) -> Iterator[Violation]:
    by_visit: Counter[tuple[int, str, datetime]] = Counter()
    for invite in mailed(seen):
        application = seen.people.get(invite["email"])
        if application is None:
            continue  # P7 tells
        entries = [entry for entry in entries_of(seen, application) if entry <= moment(invite["at"])]
        if not entries:
            yield violation(seen, "P1", application, f"invited at {invite['at']} without having entered the stage")
            continue
        by_visit[application, str(invite["assessment_id"]), entries[-1]] += 1
        early = entries[0] + seen.settle - moment(invite["at"])
        if early > timedelta() and "send" not in orders_of(seen, application):
            text = f"invited {early.total_seconds():.1f} s before the settle time of its entry was over"
            yield violation(seen, "P1", application, text)
    for (application, assessment, entered), times in by_visit.items():
        if times > 1:
            text = f"{times} invites to {assessment} for the visit begun at {entered.isoformat()}"
            yield violation(seen, "P1", application, text, "doubled")


def _one_effect(seen: Seen) -> Iterator[Violation]:
    references: Counter[tuple[int, str]] = Counter()
    for note in seen.effects["notes"]:
        found = _REFERENCE.search(note["body"])
        if found is None:
            yield violation(seen, "P3", note["application_id"], f"note {note['id']} bears no reference")
        else:
            references[note["application_id"], found[1]] += 1
    for (application, reference), times in references.items():
        if times > 1:
            yield violation(seen, "P3", application, f"{times} notes with the reference {reference}", "doubled")
    for application, moves in by_application(seen.effects["moves"]).items():
        yield from _one_move(seen, application, moves)


def _one_move(seen: Seen, application: int, moves: Sequence[Json]) -> Iterator[Violation]:
    """Each move of ours leads out of a stay that somebody else began, and there is a command for each."""
    previous: Json | None = None
    for move in moves:
        if move["by"] == "api" and previous is not None and previous["by"] == "api":
            text = f"moved twice, at {previous['at']} and {move['at']}, with nobody between"
            yield violation(seen, "P3", application, text, "doubled")
        previous = move
    made = sum(move["by"] == "api" for move in moves)
    asked = {step["command_id"] for step in seen.stories.get(application, ()) if step.get("effect") == "move"} - {None}
    if made > len(asked):
        yield violation(seen, "P3", application, f"{made} moves for {len(asked)} commands", "doubled")


# -- P4: the recruiter wins


def _recruiter_wins(seen: Seen) -> Iterator[Violation]:
    for effect, application, at in effects_of(seen):
        acts = [act for act in acts_of(seen, application) if act.at < at]
        if not acts or not acts[-1].out:
            continue
        late = at - acts[-1].at
        allowed = READING_AGE + seen.delays.get(effect, timedelta())
        if late > allowed:
            text = (
                f"{effect} at {at.isoformat()}, {late.total_seconds():.1f} s after a person took the application away"
            )
            yield violation(seen, "P4", application, text)


# -- P7: accounts are apart


def _apart(seen: Seen) -> Iterator[Violation]:
    ours = set(seen.people.values())
    for invite in seen.effects["invites"]:
        if invite["email"] not in seen.people:
            yield violation(seen, "P7", None, f"an invite to {invite['email']}, who is not of this account")
    for note in seen.effects["notes"]:
        if note["application_id"] not in ours or note["user_id"] != seen.service_user:
            yield violation(seen, "P7", note["application_id"], "a note on another account's application or by another")
    for move in own_moves(seen):
        if move["application_id"] not in ours:
            yield violation(seen, "P7", move["application_id"], "a move of another account's application")


# -- P9: same log, same decisions


def _same_again(seen: Seen) -> Iterator[Violation]:
    for application, different in seen.redecided.items():
        if different:
            yield violation(seen, "P9", application, f"decided again, {different} decisions come out otherwise")


# -- P2: nothing accepted is lost


def _accepted(seen: Seen) -> Iterator[Violation]:
    told = {(vendor, event, *_about(seen, vendor, body)) for vendor, event, body in _delivered(seen)}
    dead_signals = seen.dead_signals
    for vendor, event, application, stage in sorted(told, key=str):
        if application is None or application in seen.dead:
            continue
        if vendor == "coderbyte" and application in seen.erased:
            continue  # nothing is taken of an erased person
        story = seen.stories.get(application, ())
        if _is_told(story, vendor, event, stage):
            continue
        if vendor == "coderbyte":
            if event == "assessment_completed" and _knows_invite(story):
                if dead_signals > 0:
                    dead_signals -= 1
                    continue
                yield violation(seen, "P2", application, "a completed assessment is not in the story", "lost")
            continue
        where = f" into stage {stage}" if stage else ""
        yield violation(seen, "P2", application, f"an accepted {event}{where} is not in the story", "lost")


def _answered(seen: Seen) -> Iterator[Violation]:
    """What cannot be made safe is turned away until later; nothing else is an answer to a vendor's own webhook."""
    for delivery in seen.deliveries:
        for attempt in delivery["attempts"]:
            status = attempt["status"]
            if status in {200, None} or (status == 503 and attempt["retry_after"]):
                continue
            text = f"{delivery['vendor']}'s {delivery['event']} was answered {status} without a date to come again"
            yield violation(seen, "P2", None, text)


def _delivered(seen: Seen) -> Iterator[tuple[str, str, Json]]:
    """Vendor, event and body of each delivery that was answered 200."""
    for delivery in seen.deliveries:
        if delivery["event"] == "ping" or not any(attempt["status"] == 200 for attempt in delivery["attempts"]):
            continue
        body = delivery.get("body")
        yield delivery["vendor"], delivery["event"], parsed(body)


def _about(seen: Seen, vendor: str, body: Json) -> tuple[int | None, int | None]:
    """The application that a webhook speaks of, and the stage it names."""
    if vendor == "coderbyte":
        return next((seen.people[value] for value in texts(body) if value in seen.people), None), None
    payload = body.get("payload") or {}
    application = payload.get("application") or {}
    stage = application.get("current_stage") or {}
    return application.get("id"), stage.get("id")


def _is_told(story: Sequence[Json], vendor: str, event: str, stage: int | None) -> bool:
    facts = [step for step in story if step["kind"] == "fact"]
    if vendor == "coderbyte":
        return event != "assessment_completed" or any(step["text"].startswith("result of ") for step in facts)
    if event == "candidate_stage_change":
        entered = any(step.get("stage_id") == stage for step in facts)
        return entered or _is_noted(facts, "application.stage_changed") or any(step.get("reading") for step in story)
    if event in {"candidate_rejected", "reject_candidate"}:
        words = ("the application is rejected", "adopted as it is (rejected")
        told = any(step["text"].startswith(words) for step in facts)
        return told or _is_noted(facts, "application.rejected")
    return bool(story)


def _is_noted(facts: Iterable[Json], fact: str) -> bool:
    return any(step["text"].startswith(f"{fact}:") for step in facts)


def _knows_invite(story: Iterable[Json]) -> bool:
    """An assessment that Trellis did not invite to, as far as anybody can tell, is nobody's result."""
    return any(step.get("effect") == "invite" and step["outcome"] == "done" for step in story)


def _invited(seen: Seen) -> Iterator[Violation]:
    """An entry into the watched stage, where people left the application at last, asks for an invite (P2, P6).

    One that no webhook told may instead be offered for a person's yes.
    """
    told = {
        application
        for vendor, event, body in _delivered(seen)
        if event == "candidate_stage_change"
        for application, stage in [_about(seen, vendor, body)]
        if application is not None and stage == seen.watched_stage
    }
    for application in sorted(told.union(seen.people.values()) - seen.dead - set(seen.erased)):
        acts = acts_of(seen, application)
        if (acts and acts[-1].out) or not (application in told or entries_of(seen, application)):
            continue
        story = seen.stories.get(application, ())
        if any(step.get("effect") == "invite" for step in story):
            continue
        if application in told:
            yield violation(seen, "P2", application, "it entered the stage and no invite was ever asked for", "lost")
        elif not any(step.get("offered") for step in story):
            yield violation(
                seen, "P6", application, "it entered the stage, no webhook told, and it was not found", "lost"
            )


# -- P5: nothing silent


def _ended(seen: Seen) -> Iterator[Violation]:
    for application, story in seen.stories.items():
        asked = {step["command_id"] for step in story if step["kind"] == "command" and step.get("command_id")}
        latest = _latest(story)
        for command in sorted(asked | set(latest)):
            step = latest.get(command)
            if step is None:
                yield violation(seen, "P5", application, f"command {command} has no outcome", "lost")
            elif step["outcome"] in ENDS or (step["outcome"] == "parked" and step["reason"]):
                continue
            elif step["outcome"] == "waiting" and step["until"]:
                yield violation(seen, "P5", application, f"{step['text']}: still waiting until {step['until']}")
            else:
                text = f"command {command} is {step['outcome']} without a reason or a date: {step['text']}"
                yield violation(seen, "P5", application, text)
        if any(step.get("reading") and step["outcome"] for step in story):
            yield violation(seen, "P5", application, "a reading that was asked for never came")


def _listed(seen: Seen) -> Iterator[Violation]:
    """What could not be handled is where people see it."""
    if seen.untaken:
        yield violation(seen, "P5", None, f"{seen.untaken} dead letters are in no list", "lost")


def _latest(story: Iterable[Json]) -> dict[str, Json]:
    """The last outcome of each command."""
    return {step["command_id"]: step for step in story if step["kind"] == "outcome" and step.get("command_id")}
