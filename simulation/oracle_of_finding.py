"""Judges what was found that no webhook told (P6); a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from simulation.plan import ACT_WITHIN_SECONDS
from trellis.common.contracts.facts import FoundBy
from trellis.common.contracts.identifiers import stream_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.passing import SAME_ENTRY

if TYPE_CHECKING:
    from simulation.world import World

from simulation.oracle_reading import log_of, seconds

_SECOND = timedelta(seconds=1)


def finding(world: World) -> Iterator[str]:
    """Return every broken promise about what was found."""
    yield from _found_once(world)
    yield from _found_in_time(world)
    yield from _passed_once(world)
    yield from _passed_found(world)


def _found_once(world: World) -> Iterator[str]:
    """P6: what reconciliation finds and a webhook tells besides is one visit."""
    visits: dict[Any, set[Any]] = {}
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, e.StageEntered | e.ApplicationAdopted) and event.stage_id is not None:
            visits.setdefault((row["account"], event.application_id), set()).add(event.visit)
    for (account, application), names in visits.items():
        stays = sum(stage is not None for _, stage, _ in world.changes.get((account, application), ()))
        if len(names) > stays:
            yield f"P6: the log has {len(names)} visits of {application} of {account}, Greenhouse had {stays}"


def _found_in_time(world: World) -> Iterator[str]:
    """P6: an entry that was found when it was old is acted upon only after a person's yes."""
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if not isinstance(event, e.StageEntered) or event.found_by is not FoundBy.RECONCILIATION:
            continue
        key, at = (row["account"], event.application_id), seconds(row["recorded"].handled_at)
        entered = max(
            (when for when, stage, _ in world.changes[key] if stage == event.stage_id and when <= at), default=at
        )
        if at - entered > ACT_WITHIN_SECONDS + 1.0 and key not in world.accepts:
            yield f"P6: {event.application_id} of {key[0]} entered {at - entered:.0f} s before it was found, and nobody said yes"


def _passed_once(world: World) -> Iterator[str]:
    """P6: a stay recorded as over when it was first seen was there, and is recorded once and not as an entry too."""
    stays = {stream_id(*key): changes for key, changes in world.changes.items()}
    entered: set[Any] = set()
    passed: Counter[Any] = Counter()
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, e.StagePassed):
            passed[row["stream"], event.stage_id, seconds(event.entered_at)] += 1
        elif isinstance(event, e.StageEntered) and event.activity_at is not None:
            entered.add((row["stream"], event.stage_id, int(seconds(event.activity_at))))
    for (stream, stage, at), count in passed.items():
        if not any(is_in == stage and abs(since - at) < 0.01 for since, is_in, _ in stays.get(stream, ())):
            yield f"P6: the log of {stream} has a stay in {stage} from {at:.0f} s on that never was"
        if count > 1 or (stream, stage, int(at)) in entered:
            yield f"P6: the log of {stream} tells twice of its stay in {stage} from {at:.0f} s on"


def _passed_found(world: World) -> Iterator[str]:
    """P6: what came between a known entry and one that was found is in the log, unless it began right after the former.

    Version 1 of Harvest tells no stays, and what a restore forgot is not read again.
    """
    if world.put_back_at is not None:
        return
    for account, application in world.changes:
        if account == world.through_v1:
            continue
        log = [item.event for item in log_of(world, stream_id(account, application))]
        told = {(event.stage_id, event.entered_at) for event in log if isinstance(event, e.StagePassed)}
        entries = [
            (event.activity_at, event.found_by)
            for event in log
            if isinstance(event, e.StageEntered | e.ApplicationAdopted) and event.activity_at is not None
        ]
        for (before, _), (found, found_by) in pairwise(entries):
            if found_by is not FoundBy.RECONCILIATION:
                continue
            begun, until = before + SAME_ENTRY + _SECOND, found - _SECOND
            for row in world.greenhouses[account].left.get(application, ()):
                at = row.entered_at
                if at is not None and begun < at < until and (row.stage_id, at) not in told:
                    where = f"{row.stage_id} from {seconds(at):.0f} s on"
                    yield f"P6: {application} of {account} stood in {where}, and the log does not tell"
