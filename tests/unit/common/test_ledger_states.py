"""Everything that may happen to a ledger row, explored exhaustively against a vendor that keeps no ids.

The model knows what the row does not: whether the request of an attempt left, and whether it had its
effect. All orders of all occurrences are walked; a planted mistake in the table must be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from trellis.common.ledger.states import FINAL, TRANSITIONS, Occurrence, State, next_state

MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Request:
    """The current attempt's request: it may still take effect until it has ended."""

    attempt: int
    effective: bool = False
    ended: bool = False
    answered: bool = False


@dataclass(frozen=True)
class World:
    state: State = State.WAITING
    attempt: int = 0
    effects: int = 0
    request: Request | None = None
    resent: bool = False
    confirmed: bool = False


Table = Mapping[State, Mapping[Occurrence, State]]


def apply(world: World, table: Table, occurrence: Occurrence, attempt: int) -> World:
    after = table[world.state].get(occurrence) if attempt == world.attempt else None
    return world if after is None else replace(world, state=after)


def successors(world: World, table: Table) -> Iterator[tuple[str, World]]:
    """Every world that one step leads to: of the worker, the vendor, the clock, a reader or a person."""
    request = world.request
    quiet = request is None or request.ended
    if world.state is State.WAITING:
        if world.attempt < MOST_ATTEMPTS and quiet:
            begun = apply(world, table, Occurrence.BEGUN, world.attempt)
            yield "begin", replace(begun, attempt=world.attempt + 1, request=Request(world.attempt + 1))
        for occurrence in (Occurrence.OVERTAKEN, Occurrence.BLOCKED, Occurrence.POSTPONED, Occurrence.DROPPED):
            yield occurrence, apply(world, table, occurrence, world.attempt)
    if request is not None and not request.ended:
        if not request.effective:
            took = replace(world, effects=world.effects + 1, request=replace(request, effective=True))
            yield "the request takes effect", took
            # It never left, was refused, or the guard on the deadline held it back.
            for occurrence in (Occurrence.NOT_EXECUTED, Occurrence.REJECTED, Occurrence.UNMET):
                ended = replace(world, request=replace(request, ended=True, answered=True))
                yield f"answered {occurrence}", apply(ended, table, occurrence, request.attempt)
        else:
            for occurrence in (Occurrence.SUCCEEDED, Occurrence.ACCEPTED):
                ended = replace(world, request=replace(request, ended=True, answered=True))
                yield f"answered {occurrence}", apply(ended, table, occurrence, request.attempt)
        ended = replace(world, request=replace(request, ended=True, answered=True))
        yield "the answer is lost", apply(ended, table, Occurrence.AMBIGUOUS, request.attempt)
        yield "the worker dies", replace(world, request=replace(request, ended=True))
    if request is not None and request.ended and not request.answered:
        yield "the deadline passes", apply(world, table, Occurrence.EXPIRED, request.attempt)
        if request.effective:  # a worker that was only frozen records what it got, late
            late = replace(world, request=replace(request, answered=True))
            yield "a late success", apply(late, table, Occurrence.SUCCEEDED, request.attempt)
        late = replace(world, request=replace(request, answered=True))
        yield "a late loss", apply(late, table, Occurrence.AMBIGUOUS, request.attempt)
    if world.state is State.UNKNOWN and quiet:
        seen = Occurrence.FOUND if world.effects else Occurrence.ABSENT
        for occurrence in (seen, Occurrence.CANNOT_TELL, Occurrence.POSTPONED):
            yield f"look-up: {occurrence}", apply(world, table, occurrence, world.attempt)
        if not world.effects:
            yield "look-up: overtaken", apply(world, table, Occurrence.OVERTAKEN, world.attempt)
            yield "look-up: blocked", apply(world, table, Occurrence.BLOCKED, world.attempt)
    if world.state in (State.WAITING, State.PARKED) and quiet:
        # The ledger is of an earlier day than the world, in which the effect may have been made meanwhile.
        yield "restored", apply(world, table, Occurrence.RESTORED, world.attempt)
        if not world.effects:
            ahead = replace(world, effects=1)
            yield "restored, and made meanwhile", apply(ahead, table, Occurrence.RESTORED, world.attempt)
    if world.effects and world.attempt:
        yield "evidence", apply(world, table, Occurrence.EVIDENCE, world.attempt)
    if world.state is State.PARKED:
        yield "mended", apply(world, table, Occurrence.MENDED, world.attempt)
    if world.state in (State.PARKED, State.IN_DOUBT):
        yield "dropped", apply(world, table, Occurrence.DROPPED, world.attempt)
    if world.state not in FINAL:
        yield "withdrawn by a person", apply(world, table, Occurrence.WITHDRAWN, world.attempt)
    if world.state is State.IN_DOUBT:
        yield "resent by a person", replace(apply(world, table, Occurrence.RESENT, world.attempt), resent=True)
        yield "confirmed by a person", replace(apply(world, table, Occurrence.CONFIRMED, world.attempt), confirmed=True)


def faults(before: World, after: World) -> Iterator[str]:
    if after.effects > 1 and not after.resent:
        yield "the effect was made twice and no person asked for it"
    if after.state is State.DONE and not after.effects and not after.confirmed:
        yield "done, but nothing was ever made"
    if after.state is State.REFUSED and after.effects and not after.resent:
        yield "refused, but it was made"
    if before.state in FINAL and after.state is not before.state:
        yield "a final state changed"
    if after.state is State.WAITING and after.effects and not after.resent and before.state is not State.WAITING:
        yield "it is tried again although it was made"


def explore(table: Table) -> tuple[int, list[str]]:
    """Walk every reachable world; return how many there are and the first fault's whole story."""
    start = World()
    paths: dict[World, tuple[World, str] | None] = {start: None}
    todo = [start]
    while todo:
        world = todo.pop()
        for step, following in successors(world, table):
            found = list(faults(world, following))
            if following not in paths:
                paths[following] = (world, step)
                todo.append(following)
            if found:
                return len(paths), [*story(paths, world), step, *found]
    return len(paths), []


def story(paths: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    steps = []
    while (came := paths[world]) is not None:
        world, step = came
        steps.append(step)
    return steps[::-1]


def test_no_order_of_events_makes_an_effect_twice_or_forgets_one() -> None:
    count, found = explore(TRANSITIONS)
    assert not found, found
    assert count > 200, "the model explores too little to prove anything"


OPEN = (State.WAITING, State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT, State.PARKED)
LEADS: dict[Occurrence, dict[State, tuple[State, ...]]] = {
    # An answer of the current attempt counts however late it is.
    Occurrence.SUCCEEDED: {State.DONE: OPEN},
    Occurrence.ACCEPTED: {State.UNKNOWN: OPEN},
    Occurrence.REJECTED: {State.REFUSED: OPEN},
    Occurrence.UNMET: {State.PARKED: OPEN},
    Occurrence.EVIDENCE: {State.DONE: OPEN},
    Occurrence.AMBIGUOUS: {State.UNKNOWN: (State.WAITING, State.ATTEMPTING, State.UNKNOWN, State.PARKED)},
    # Only an attempt that may have had its effect can be proven to have had none.
    Occurrence.NOT_EXECUTED: {State.WAITING: (State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT)},
    Occurrence.BEGUN: {State.ATTEMPTING: (State.WAITING,)},
    Occurrence.EXPIRED: {State.UNKNOWN: (State.ATTEMPTING,)},
    # Look-ups.
    Occurrence.FOUND: {State.DONE: (State.UNKNOWN,)},
    Occurrence.ABSENT: {State.WAITING: (State.UNKNOWN,)},
    Occurrence.CANNOT_TELL: {State.IN_DOUBT: (State.UNKNOWN,)},
    # Readings before an attempt and after one.
    Occurrence.OVERTAKEN: {State.SUPERSEDED: (State.WAITING, State.UNKNOWN)},
    Occurrence.BLOCKED: {State.PARKED: (State.WAITING, State.UNKNOWN)},
    Occurrence.POSTPONED: {State.WAITING: (State.WAITING,), State.UNKNOWN: (State.UNKNOWN,)},
    # What was never begun may have been, in the world that a restored database does not know.
    Occurrence.RESTORED: {State.UNKNOWN: (State.WAITING, State.PARKED)},
    # People.
    Occurrence.MENDED: {State.WAITING: (State.PARKED,)},
    Occurrence.RESENT: {State.WAITING: (State.PARKED, State.IN_DOUBT)},
    Occurrence.CONFIRMED: {State.DONE: (State.IN_DOUBT,)},
    Occurrence.DROPPED: {State.SUPERSEDED: (State.WAITING, State.PARKED, State.IN_DOUBT)},
    Occurrence.WITHDRAWN: {State.SUPERSEDED: OPEN},
}


@pytest.mark.parametrize("occurrence", list(Occurrence))
def test_each_occurrence_leads_where_it_should_and_changes_nothing_elsewhere(occurrence: Occurrence) -> None:
    """The walk above proves that nothing goes wrong; this, that what should happen happens."""
    expected = {before: after for after, sources in LEADS[occurrence].items() for before in sources}
    assert {before: next_state(before, occurrence) for before in State} == {
        before: expected.get(before) for before in State
    }


def test_the_words_that_the_database_keeps_never_change() -> None:
    assert " ".join(State) == "waiting attempting unknown in_doubt parked done refused superseded"
    assert " ".join(Occurrence) == (
        "begun succeeded accepted not_executed rejected unmet ambiguous expired found absent cannot_tell evidence "
        "overtaken blocked postponed restored mended resent confirmed dropped withdrawn"
    )


def test_every_open_state_can_end() -> None:
    for state in State:
        if state in FINAL:
            continue
        reached, todo = {state}, [state]
        while todo:
            for following in TRANSITIONS[todo.pop()].values():
                if following not in reached:
                    reached.add(following)
                    todo.append(following)
        assert reached & FINAL


@pytest.mark.parametrize(
    ("state", "occurrence", "wrong"),
    [
        (State.ATTEMPTING, Occurrence.EXPIRED, State.WAITING),
        (State.ATTEMPTING, Occurrence.AMBIGUOUS, State.WAITING),
        (State.UNKNOWN, Occurrence.CANNOT_TELL, State.WAITING),
        (State.UNKNOWN, Occurrence.POSTPONED, State.WAITING),
        (State.IN_DOUBT, Occurrence.AMBIGUOUS, State.WAITING),
        (State.WAITING, Occurrence.BEGUN, State.WAITING),
        (State.ATTEMPTING, Occurrence.AMBIGUOUS, State.DONE),
        (State.UNKNOWN, Occurrence.CANNOT_TELL, State.REFUSED),
        (State.DONE, Occurrence.EVIDENCE, State.WAITING),
    ],
)
def test_a_mistake_planted_in_the_table_is_found(state: State, occurrence: Occurrence, wrong: State) -> None:
    planted = {key: dict(row) for key, row in TRANSITIONS.items()}
    planted[state][occurrence] = wrong
    _, found = explore(planted)
    assert found
