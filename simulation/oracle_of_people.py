"""Judges whether people are obeyed, dealt with and shown how things stand; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from simulation.plan import ACT_WITHIN_SECONDS
from trellis.common.contracts.facts import ApplicationStatus, Order
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stream_id
from trellis.common.ledger.states import State
from trellis.workflow.domain import events as e

if TYPE_CHECKING:
    from simulation.world import World

from simulation.oracle_of_restores import forgotten_then
from simulation.oracle_reading import seconds

CODING = "Coding Assessment"
BEGUN_SECONDS = 4.0
"""How long after it was begun a request may still leave; the braking waits for no more."""
SAME_STAY_SECONDS = 61.0
"""Whoever comes back sooner, with no webhook telling of it, is not seen to have left."""


def people(world: World) -> Iterator[str]:
    """Return every broken promise to people."""
    yield from _people_are_obeyed(world)
    yield from _shown_as_they_stand(world)


def _people_are_obeyed(world: World) -> Iterator[str]:
    """A brake stops its account at once, a pause only its own, and whoever stands in the stage is dealt with."""
    for account, on, off in world.braked:
        for done in world.done:
            if on < (world.put_back_at or 0.0) < done.left_at:
                continue  # the backup does not know the brake
            if done.account == account and done.kind == "invite" and on + BEGUN_SECONDS < done.left_at < off:
                yield f"brake: an invite of {account} left at {done.left_at:.3f}, the brake was on since {on:.3f}"
    for account in sorted(world.paused - world.ever_rejected):
        yield f"P7: {account} was paused, and no vendor ever rejected its credentials"
    asked = {
        (row["account"], row["stream"])
        for row in world.memories["workflow"].table("event").values()
        if isinstance(row["recorded"].event, e.InviteRequested | e.AttachRequested)
    }
    excused = {
        (row["account"], row["stream"])
        for row in world.memories["workflow"].table("event").values()
        if isinstance(event := row["recorded"].event, e.OrderTaken)
        and event.order is Order.EXCUSE
        and not event.refused
    }
    offered = {
        (row["account"], row["stream"]): seconds(row["recorded"].handled_at)
        for row in world.memories["workflow"].table("event").values()
        if isinstance(row["recorded"].event, e.EntryOffered)
    }
    refused = Counter(
        (row["account"], row["stream"])
        for row in world.memories["workflow"].table("event").values()
        if isinstance(event := row["recorded"].event, e.FactNoted) and event.fact == "entry.accepted"
    )
    for account, greenhouse in world.greenhouses.items():
        coding = greenhouse.stage(CODING)
        for application, view in greenhouse.truth.items():
            stands = view.status is ApplicationStatus.ACTIVE and view.stage_id == coding
            key, entered = (account, stream_id(account, application)), _began(world.changes[account, application])
            yes = world.accepted_at.get((account, application), 0.0)
            waits = key in offered and (refused[key] == world.accepts[account, application] or offered[key] > yes)
            is_late = waits and offered[key] > entered + ACT_WITHIN_SECONDS
            tells_no_visits = account == world.through_v1
            if stands and waits and (is_late or tells_no_visits or _came_back_soon(world, account, application)):
                continue
            if _entered_by_unreject(world.changes[account, application]) or forgotten_then(world, account, application):
                continue
            is_erased = (account, view.candidate_id) in world.erased_by_hand or (
                account,
                application,
            ) in world.anonymized
            if stands and key not in asked and key not in excused and not is_erased:
                yield f"P5: application {application} of {account} stands in {CODING}, and no invite was asked for"


def _came_back_soon(world: World, account: AccountId, application: ApplicationId) -> bool:
    """Whether it left its stage and entered it again so soon that the reconciler takes both stays for one."""
    *before, (entered, stage, _) = world.changes[account, application]
    return any(other == stage and entered - at <= SAME_STAY_SECONDS for at, other, _ in before)


def _entered_by_unreject(changes: Sequence[tuple[float, Any, bool]]) -> bool:
    """Whether rejections taken back alone put it where it is, which no webhook calls an entry: then it is adopted."""
    stages = [stage for _, stage, _ in changes]
    return all(number > 0 and stages[number - 1] is None for number, stage in enumerate(stages) if stage == stages[-1])


def _began(changes: Sequence[tuple[float, Any, bool]]) -> float:
    """When the present stay began: a rejection that was taken back begins none in a stage that it was in before."""
    *before, (at, stage, _) = changes
    stays = [number for number, (_, same, _) in enumerate(before) if same == stage]
    if not stays or before[-1][1] is not None:
        return at
    return _began(changes[: stays[-1] + 1])


def _shown_as_they_stand(world: World) -> Iterator[str]:
    """P5: recruiters see which applications need a person, and of no other that it does, nor of one that has ended."""
    held: dict[tuple[Any, Any, Any], bool] = {}
    for name in ("assessments", "greenhouse-actions"):
        for row in world.memories[name].table("intent").values():
            key = row["account"], row["application_id"], row["visit"]
            problem = row["state"] in (State.PARKED, State.IN_DOUBT, State.REFUSED)
            held[key] = held.get(key, False) or problem
    for row in world.memories["workflow"].table("application").values():
        state = row["state"]
        account, application = state.account, state.application_id
        view = world.greenhouses[account].truth.get(application)
        wanted = world.memories["greenhouse-actions"].table("standing").get((account, application))
        waits = wanted is not None and wanted["ordinal"] > wanted["shown_ordinal"]
        # What was to be shown before a restore may be under way still, with a higher ordinal than what is new.
        waits = waits or world.changes[account, application][0][0] < (world.put_back_at or 0.0)
        if view is None or state.visit is None or waits:
            continue
        shown = world.greenhouses[account].standings.get(application, "")
        if not view.is_active and shown:
            yield f"P5: application {application} of {account} has ended, and Greenhouse shows: {shown}"
        needs = view.is_active and held.get((account, application, state.visit.name), False)
        if needs != shown.startswith("Problem"):
            yield f"P5: application {application} of {account} needs a person: {needs}, and Greenhouse shows: {shown}"
