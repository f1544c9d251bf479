"""Judges which results were taken instead of an invite; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from simulation.oracle_reading import log_of, seconds
from trellis.common.contracts.commands import BY_HAND
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, stream_id
from trellis.common.contracts.outcomes import AssessmentCompleted, OutcomeState
from trellis.workflow.domain import events as e

if TYPE_CHECKING:
    from simulation.vendors import Done
    from simulation.world import World

SKEW_SECONDS = 12.0
"""How far a result's time may be off: a replica's clock dates the webhook that told of it."""
READY_SECONDS = 25.0
"""How long before it leaves an invite may have been made ready, and found no result."""


@dataclass
class _Story:
    """What the log tells of one application."""

    asked: list[tuple[float, e.InviteRequested]] = field(default_factory=list)
    received: list[tuple[float, AssessmentCompleted]] = field(default_factory=list)
    settled: dict[UUID, OutcomeState] = field(default_factory=dict)
    mailed: list[Done] = field(default_factory=list)


_Key = tuple[AccountId, ApplicationId]


def reuse(world: World) -> Iterator[str]:
    """Return every broken promise about results that stand for invites: whose, how old, and that one comes."""
    if world.reuse_seconds is None:
        return
    people: dict[tuple[AccountId, CandidateId], dict[_Key, _Story]] = {}
    for account, application in world.changes:
        view = world.greenhouses[account].truth.get(application)
        if view is not None:
            people.setdefault((account, view.candidate_id), {})[account, application] = _told(
                world, account, application
            )
    attached = {
        (row["account"], row["application_id"])
        for row in world.memories["assessments"].table("invite").values()
        if row["attached_body_id"] is not None
    }
    for person, stories in people.items():
        by_hand = any(request.workflow == BY_HAND for story in stories.values() for _, request in story.asked)
        if by_hand or person not in world.addresses or stories.keys() & (world.merged | world.anonymized | attached):
            continue
        given = [
            told for address in world.addresses[person] for told in world.given_scores.get((person[0], address), ())
        ]
        for key, story in stories.items():
            others = {other: story for other, story in stories.items() if other != key}
            yield from _taken(world, key, story, others, given, world.reuse_seconds)
            yield from _mailed(world, key, story, others, given, world.reuse_seconds)


def _told(world: World, account: AccountId, application: ApplicationId) -> _Story:
    story = _Story(mailed=[done for done in world.done if _is_invite(done, account, application)])
    for recorded in log_of(world, stream_id(account, application)):
        at = seconds(recorded.recorded_at)
        match recorded.event:
            case e.InviteRequested() as asked:
                story.asked.append((at, asked))
            case e.ResultReceived() as received:
                story.received.append((at, received.result))
            case e.EffectSettled() as settled:
                story.settled[settled.command_id] = settled.state
    return story


def _is_invite(done: Done, account: AccountId, application: ApplicationId) -> bool:
    return (done.kind, done.account, done.application) == ("invite", account, application)


def _taken(
    world: World,
    key: _Key,
    story: _Story,
    others: dict[_Key, _Story],
    given: list[tuple[float, int]],
    within: float,
) -> Iterator[str]:
    """What was taken instead of a mail is the person's own, and was not old when it was."""
    if story.mailed:
        return
    account, application = key
    for _, result in story.received:
        if result.score not in [score for _, score in given]:
            yield f"reuse: {application} of {account} has a result of {result.score}, which its candidate never had"
    known = [at for other in others.values() for at, _ in other.received]
    for at, request in story.asked:
        if story.settled.get(request.command_id) is not OutcomeState.DONE:
            continue
        invite = world.memories["assessments"].table("invite").get(request.command_id, {})
        # After a restore the shared result is still to come, or what began was another invite of the person, since forgotten.
        is_of_another = any(other.mailed for other in others.values())
        waits = world.put_back_at is not None and (invite.get("follows") is not None or is_of_another)
        if not waits and not any(result.visit == request.visit for _, result in story.received):
            yield f"P5: the invite of {application} of {account} is told done, and there is neither mail nor result"
        if known and at - max(known) > within + SKEW_SECONDS:
            yield f"reuse: {application} of {account} was given a result older than {within:.0f} s"


def _mailed(
    world: World,
    key: _Key,
    story: _Story,
    others: dict[_Key, _Story],
    given: list[tuple[float, int]],
    within: float,
) -> Iterator[str]:
    """Nobody is mailed who has a recent result, as long as no attempt of that invite was in doubt."""
    account, application = key
    invites = world.memories["assessments"].table("invite")
    if any(invites.get(request.command_id, {}).get("doubted") for _, request in story.asked):
        return
    put_back_at = world.put_back_at or 0.0  # what was mailed before, a restore may have forgotten
    sure = [
        other
        for other in others.values()
        if any(done.left_at > put_back_at for done in other.mailed) and not _is_given_up(world, other)
    ]
    for done in story.mailed:
        known = [at for other in sure for at, _ in other.received if at < done.left_at - READY_SECONDS]
        began = min((at for at, _ in given), default=0.0)
        if known and done.left_at - began + SKEW_SECONDS < within:
            yield f"reuse: {application} of {account} was mailed, and its candidate had a result since {min(known):.0f}"


def _is_given_up(world: World, story: _Story) -> bool:
    return any(
        request.command_id in world.given_up or story.settled.get(request.command_id) is OutcomeState.SUPERSEDED
        for _, request in story.asked
    )
