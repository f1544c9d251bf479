"""Judges what came of a person's orders by hand; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from simulation.oracle_reading import seconds
from simulation.plan import CODING
from simulation.twins.memory import Row
from trellis.assessments.withdrawing import NEVER_LEFT
from trellis.common.contracts.commands import BY_HAND
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, stream_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e

if TYPE_CHECKING:
    from simulation.world import World


def orders(world: World) -> Iterator[str]:
    """Return every broken promise about orders."""
    yield from _one_invite(world)
    yield from _withdrawn_stay_away(world)
    yield from _attached_results_arrive(world)


def _invites_asked(world: World) -> Counter[tuple[AccountId, UUID, AssessmentId]]:
    """Return how many invites may reach the vendor: one by rules over all visits, and each that a person ordered."""
    by_rule, anew = set(), set()
    found = Counter[tuple[AccountId, UUID, AssessmentId]]()
    for row in world.logged():
        event = row["recorded"].event
        if isinstance(event, e.InviteRequested):
            key = row["account"], row["stream"], event.assessment_id
            if event.workflow == BY_HAND:
                found[key] += 1
            elif _began_after_a_restore(world, row):
                anew.add(key)
            else:
                by_rule.add(key)
    found.update(by_rule)
    found.update(anew)
    return found


def _began_after_a_restore(world: World, row: Row) -> bool:
    """Whether it is of a visit since restored mode ended: nobody knows then of an earlier visit's invite that was forgotten."""
    ended = world.ended_at.get("assessments", float("inf"))
    coding = world.greenhouses[row["account"]].stage(CODING)
    return seconds(row["recorded"].recorded_at) > ended and any(
        at > ended and stage == coding
        for (account, application), changes in world.changes.items()
        if (account, stream_id(account, application)) == (row["account"], row["stream"])
        for at, stage, _ in changes
    )


def _one_invite(world: World) -> Iterator[str]:
    asked = _invites_asked(world)
    made = Counter((done.account, done.application, done.assessment) for done in world.done if done.kind == "invite")
    for (account, application, assessment), count in made.items():
        most = asked[account, stream_id(account, application), assessment] if assessment is not None else 0
        if count > most + _was_forgotten_under_another_address(world, account, application):
            yield f"P1: {count} invites to {assessment} reached the vendor for application {application} of {account}"


def _was_forgotten_under_another_address(world: World, account: AccountId, application: ApplicationId) -> bool:
    """Whether a restore forgot an invite that Coderbyte lists under an address which the person has no more."""
    if world.put_back_at is None:
        return False
    ours = [
        done for done in world.done if (done.kind, done.account, done.application) == ("invite", account, application)
    ]
    before = {done.detail for done in ours if done.left_at < world.put_back_at}
    after = {done.detail for done in ours if done.left_at >= world.put_back_at}
    return bool(before and after) and not before & after


def _withdrawn_stay_away(world: World) -> Iterator[str]:
    """Every withdrawal ends, and what was told never to go out did not."""
    asked: Counter[Any] = Counter()
    made = {
        (done.account, stream_id(done.account, done.application), done.assessment)
        for done in world.done
        if done.kind == "invite"
    }
    settled: dict[Any, str] = {}
    withdrawn = []
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, e.EffectSettled):
            settled[event.command_id] = event.reason
        elif isinstance(event, e.InviteRequested):
            asked[row["account"], row["stream"], event.assessment_id] += 1
        elif isinstance(event, e.WithdrawRequested):
            withdrawn.append((row["account"], row["stream"], event))
    for account, stream, event in withdrawn:
        said, key = settled.get(event.command_id), (account, stream, event.assessment_id)
        if said is None:
            yield f"P5: an invite was to be withdrawn by {event.command_id} of {account}, and nothing says what came of it"
        elif said == NEVER_LEFT and key in made and asked[key] == 1:
            yield f"P1: an invite of {account} to {event.assessment_id} was told never to go out, and reached the vendor"


def _attached_results_arrive(world: World) -> Iterator[str]:
    """Every order to attach a result ends, and what was attached is in the log once, with its score."""
    settled: dict[Any, Any] = {}
    asked, results = [], set()
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, e.AttachRequested):
            asked.append((row["account"], row["stream"], event))
        elif isinstance(event, e.EffectSettled):
            settled[event.command_id] = event.state
        elif isinstance(event, e.ResultReceived):
            results.add((row["stream"], event.result.visit))
    invites = world.memories["assessments"].table("invite")
    for account, stream, event in asked:
        state = settled.get(event.command_id)
        if state is None:
            yield f"P5: a result was to be attached by {event.command_id} of {account}, and nothing says what came of it"
        elif state is OutcomeState.DONE and (stream, event.visit) not in results:
            invite = invites.get(event.invite_id)
            is_read = invite is not None and invite["poll_step"] is not None  # the same report came to another visit
            if invite is not None and invite["erased_at"] is None and not is_read:
                yield f"P5: a result was attached by {event.command_id} of {account} and never came"
