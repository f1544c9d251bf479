"""Whether the promises held, judged from outside. Pure.

It reads what entered (the deliveries that were answered 200), what the vendors saw, what people did, and the
story that `trellis why --json` tells. It shares no code and no rule with what it judges.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]

READING_AGE: Final = timedelta(seconds=10)
"""How old the reading before an effect may be (P4)."""
ENDS: Final = frozenset({"done", "refused", "superseded"})
_REFERENCE: Final = re.compile(r"\[ref (tr-[^\]\s]+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person did to an application, which ended or began a stay; *at* by the vendor's clock."""

    at: datetime
    application: int
    out: bool
    """Whether Trellis has nothing to do there any more: moved elsewhere, rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One account as seen from outside.

    Attributes:
        account: Its name; the addresses of its people end in `@NAME.example`.
        watched_stage: Id of the stage whose entry invites.
        settle: How long after an entry it counts.
        service_user: Who its notes must be from.
        people: Address -> application.
        acts: What its people did, also where the webhook was lost.
        deliveries: The sandbox's log with bodies.
        effects: What the sandbox saw.
        stories: Application -> the steps of its story.
        dead: Applications that a message in a dead queue speaks of.
        dead_signals: Messages in dead queues that name no application.
        redecided: Application -> how many of its decisions come out otherwise when they are decided again.
        delays: Effect -> longest time by which the vendor itself carried it out late, for `invite`, `note`, `move`.
    """

    account: str
    watched_stage: int
    service_user: int
    people: Mapping[str, int]
    acts: Sequence[Act]
    deliveries: Sequence[Json]
    effects: Json
    stories: Mapping[int, Sequence[Json]]
    dead: frozenset[int] = frozenset()
    dead_signals: int = 0
    redecided: Mapping[int, int] = field(default_factory=dict)
    settle: timedelta = timedelta()
    delays: Mapping[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that did not hold."""

    promise: str
    account: str
    application: int | None
    text: str
    kind: str = ""
    """`lost`, `doubled`, or nothing."""

    def as_json(self) -> Json:
        """Return it as an object of the last line."""
        return {
            "promise": self.promise,
            "account": self.account,
            "application": self.application,
            "text": self.text,
            "kind": self.kind,
        }


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


def check(seen: Seen) -> list[Violation]:
    """Return every violation of P1 to P5, P7 and P9, and what has not come to its end."""
    return [
        *_one_invite(seen),
        *_one_effect(seen),
        *_recruiter_wins(seen),
        *_apart(seen),
        *_same_again(seen),
        *_answered(seen),
        *unfinished(seen),
    ]


def unfinished(seen: Seen) -> list[Violation]:
    """Return what is accepted and in no story, and what has neither ended nor is parked: empty when settled."""
    return [*_accepted(seen), *_invited(seen), *_ended(seen)]


def count(seen: Seen) -> Counts:
    """Return the figures of one account."""
    outcomes = [step for story in seen.stories.values() for step in _latest(story).values()]
    held = sum(step.get("state") == "in_doubt" for step in outcomes)
    return Counts(
        deliveries=sum(1 for _ in _delivered(seen)),
        effects=len(_mailed(seen)) + len(seen.effects["notes"]) + len(_own_moves(seen)),
        held=held,
        parked=sum(step["outcome"] == "parked" for step in outcomes) - held,
        turned_away=sum(any(one["status"] == 503 for one in each["attempts"]) for each in seen.deliveries),
    )


# -- P1, P3: one effect


def _one_invite(seen: Seen) -> Iterator[Violation]:
    by_visit: Counter[tuple[int, str, datetime]] = Counter()
    for invite in _mailed(seen):
        application = seen.people.get(invite["email"])
        if application is None:
            continue  # P7 tells
        entries = [entry for entry in _entries(seen, application) if entry <= _time(invite["at"])]
        if not entries:
            yield _violation(seen, "P1", application, f"invited at {invite['at']} without having entered the stage")
            continue
        by_visit[application, str(invite["assessment_id"]), entries[-1]] += 1
        early = entries[0] + seen.settle - _time(invite["at"])
        if early > timedelta():
            text = f"invited {early.total_seconds():.1f} s before the settle time of its entry was over"
            yield _violation(seen, "P1", application, text)
    for (application, assessment, entered), times in by_visit.items():
        if times > 1:
            text = f"{times} invites to {assessment} for the visit begun at {entered.isoformat()}"
            yield _violation(seen, "P1", application, text, "doubled")


def _one_effect(seen: Seen) -> Iterator[Violation]:
    references: Counter[tuple[int, str]] = Counter()
    for note in seen.effects["notes"]:
        found = _REFERENCE.search(note["body"])
        if found is None:
            yield _violation(seen, "P3", note["application_id"], f"note {note['id']} bears no reference")
        else:
            references[note["application_id"], found[1]] += 1
    for (application, reference), times in references.items():
        if times > 1:
            yield _violation(seen, "P3", application, f"{times} notes with the reference {reference}", "doubled")
    for application, moves in _by_application(seen.effects["moves"]).items():
        yield from _one_move(seen, application, moves)


def _one_move(seen: Seen, application: int, moves: Sequence[Json]) -> Iterator[Violation]:
    """Each move of ours leads out of a stay that somebody else began, and there is a command for each."""
    previous: Json | None = None
    for move in moves:
        if move["by"] == "api" and previous is not None and previous["by"] == "api":
            text = f"moved twice, at {previous['at']} and {move['at']}, with nobody between"
            yield _violation(seen, "P3", application, text, "doubled")
        previous = move
    made = sum(move["by"] == "api" for move in moves)
    asked = {step["command_id"] for step in seen.stories.get(application, ()) if step.get("effect") == "move"} - {None}
    if made > len(asked):
        yield _violation(seen, "P3", application, f"{made} moves for {len(asked)} commands", "doubled")


# -- P4: the recruiter wins


def _recruiter_wins(seen: Seen) -> Iterator[Violation]:
    for effect, application, at in _effects(seen):
        acts = [act for act in _acts(seen, application) if act.at < at]
        if not acts or not acts[-1].out:
            continue
        late = at - acts[-1].at
        allowed = READING_AGE + seen.delays.get(effect, timedelta())
        if late > allowed:
            text = (
                f"{effect} at {at.isoformat()}, {late.total_seconds():.1f} s after a person took the application away"
            )
            yield _violation(seen, "P4", application, text)


# -- P7: accounts are apart


def _apart(seen: Seen) -> Iterator[Violation]:
    ours = set(seen.people.values())
    for invite in seen.effects["invites"]:
        if invite["email"] not in seen.people:
            yield _violation(seen, "P7", None, f"an invite to {invite['email']}, who is not of this account")
    for note in seen.effects["notes"]:
        if note["application_id"] not in ours or note["user_id"] != seen.service_user:
            yield _violation(
                seen, "P7", note["application_id"], "a note on another account's application or by another"
            )
    for move in _own_moves(seen):
        if move["application_id"] not in ours:
            yield _violation(seen, "P7", move["application_id"], "a move of another account's application")


# -- P9: same log, same decisions


def _same_again(seen: Seen) -> Iterator[Violation]:
    for application, different in seen.redecided.items():
        if different:
            yield _violation(seen, "P9", application, f"decided again, {different} decisions come out otherwise")


# -- P2: nothing accepted is lost


def _accepted(seen: Seen) -> Iterator[Violation]:
    told = {(vendor, event, *_about(seen, vendor, body)) for vendor, event, body in _delivered(seen)}
    dead_signals = seen.dead_signals
    for vendor, event, application, stage in sorted(told, key=str):
        if application is None or application in seen.dead:
            continue
        story = seen.stories.get(application, ())
        if _is_told(story, vendor, event, stage):
            continue
        if vendor == "coderbyte":
            if event == "assessment_completed" and _knows_invite(story):
                if dead_signals > 0:
                    dead_signals -= 1
                    continue
                yield _violation(seen, "P2", application, "a completed assessment is not in the story", "lost")
            continue
        where = f" into stage {stage}" if stage else ""
        yield _violation(seen, "P2", application, f"an accepted {event}{where} is not in the story", "lost")


def _answered(seen: Seen) -> Iterator[Violation]:
    """What cannot be made safe is turned away until later; nothing else is an answer to a vendor's own webhook."""
    for delivery in seen.deliveries:
        for attempt in delivery["attempts"]:
            status = attempt["status"]
            if status in {200, None} or (status == 503 and attempt["retry_after"]):
                continue
            text = f"{delivery['vendor']}'s {delivery['event']} was answered {status} without a date to come again"
            yield _violation(seen, "P2", None, text)


def _delivered(seen: Seen) -> Iterator[tuple[str, str, Json]]:
    """Vendor, event and body of each delivery that was answered 200."""
    for delivery in seen.deliveries:
        if delivery["event"] == "ping" or not any(attempt["status"] == 200 for attempt in delivery["attempts"]):
            continue
        body = delivery.get("body")
        yield delivery["vendor"], delivery["event"], _parsed(body)


def _about(seen: Seen, vendor: str, body: Json) -> tuple[int | None, int | None]:
    """The application that a webhook speaks of, and the stage it names."""
    if vendor == "coderbyte":
        return next((seen.people[value] for value in _texts(body) if value in seen.people), None), None
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
    """An accepted entry into the watched stage, where people left the application at last, asks for an invite."""
    entered = {
        application
        for vendor, event, body in _delivered(seen)
        if event == "candidate_stage_change"
        for application, stage in [_about(seen, vendor, body)]
        if application is not None and stage == seen.watched_stage
    }
    for application in sorted(entered - seen.dead):
        acts = _acts(seen, application)
        asked = any(step.get("effect") == "invite" for step in seen.stories.get(application, ()))
        if not asked and not (acts and acts[-1].out):
            yield _violation(seen, "P2", application, "it entered the stage and no invite was ever asked for", "lost")


# -- P5: nothing silent


def _ended(seen: Seen) -> Iterator[Violation]:
    for application, story in seen.stories.items():
        asked = {step["command_id"] for step in story if step["kind"] == "command" and step.get("command_id")}
        latest = _latest(story)
        for command in sorted(asked | set(latest)):
            step = latest.get(command)
            if step is None:
                yield _violation(seen, "P5", application, f"command {command} has no outcome", "lost")
            elif step["outcome"] in ENDS or (step["outcome"] == "parked" and step["reason"]):
                continue
            elif step["outcome"] == "waiting" and step["until"]:
                yield _violation(seen, "P5", application, f"{step['text']}: still waiting until {step['until']}")
            else:
                text = f"command {command} is {step['outcome']} without a reason or a date: {step['text']}"
                yield _violation(seen, "P5", application, text)
        if any(step.get("reading") and step["outcome"] for step in story):
            yield _violation(seen, "P5", application, "a reading that was asked for never came")


def _latest(story: Iterable[Json]) -> dict[str, Json]:
    """The last outcome of each command."""
    return {step["command_id"]: step for step in story if step["kind"] == "outcome" and step.get("command_id")}


# -- what was seen


def _effects(seen: Seen) -> Iterator[tuple[str, int, datetime]]:
    for invite in _mailed(seen):
        if invite["email"] in seen.people:
            yield "invite", seen.people[invite["email"]], _time(invite["at"])
    for note in seen.effects["notes"]:
        yield "note", note["application_id"], _time(note["at"])
    for move in _own_moves(seen):
        yield "move", move["application_id"], _time(move["at"])


def _entries(seen: Seen, application: int) -> list[datetime]:
    moves = _by_application(seen.effects["moves"]).get(application, [])
    return [_time(move["at"]) for move in moves if move["to_stage_id"] == seen.watched_stage]


def _acts(seen: Seen, application: int) -> list[Act]:
    return sorted((act for act in seen.acts if act.application == application), key=lambda act: act.at)


def _mailed(seen: Seen) -> list[Json]:
    return [invite for invite in seen.effects["invites"] if invite["mailed"]]


def _own_moves(seen: Seen) -> list[Json]:
    return [move for move in seen.effects["moves"] if move["by"] == "api"]


def _by_application(moves: Iterable[Json]) -> dict[int, list[Json]]:
    found: dict[int, list[Json]] = {}
    for move in moves:
        found.setdefault(move["application_id"], []).append(move)
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _parsed(body: object) -> Json:
    """The body's object; a Coderbyte webhook may be anything."""
    found = json.loads(body) if isinstance(body, str) and body.startswith("{") else {}
    return found if isinstance(found, dict) else {}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _violation(seen: Seen, promise: str, application: int | None, text: str, kind: str = "") -> Violation:
    return Violation(promise, seen.account, application, text, kind)
