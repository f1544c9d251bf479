"""Which stage a move goes to: fixed before the first attempt, from the job's own order. Pure.

Source: greenhouse fact sheet, section 7.4 and section 8.
"""

from __future__ import annotations

from collections.abc import Sequence

from trellis.common.contracts.commands import MoveApplication
from trellis.common.contracts.identifiers import StageId
from trellis.common.ledger.effects import Blocked, Resolved
from trellis.greenhouse_actions.domain.readings import JobStage

TO_STAGE = "to_stage_id"
"""Under this name `resolved` keeps the fixed target; the ledger's outcome message tells it too."""
TO_NAME = "to_stage_name"
_REMEDY = "choose another stage in the workflow, then redrive or drop this move"


def fixed_target(resolved: Resolved) -> StageId | None:
    """Return the target that an earlier check fixed; None before."""
    value = resolved.get(TO_STAGE)
    return StageId(value) if isinstance(value, int) else None


def knows(plan: Sequence[JobStage], command: MoveApplication, resolved: Resolved) -> bool:
    """Tell whether *plan* has every stage id that *command* names; else it is to be read anew."""
    wanted = {command.from_stage_id, fixed_target(resolved), command.to_stage_id} - {None}
    named = command.to_stage_name is None or bool(_named(plan, command.to_stage_name))
    return named and wanted <= {stage.id for stage in plan}


def choose_target(command: MoveApplication, resolved: Resolved, plan: Sequence[JobStage]) -> JobStage | Blocked:
    """Return the active stage the move goes to, or why there is none (case 4).

    Args:
        command: A target by id, by name, or none: then the next active stage after the one it leaves.
        resolved: What an earlier check fixed; it wins.
        plan: All stages of the job, deleted ones included.
    """
    wanted = fixed_target(resolved) or command.to_stage_id
    if wanted is not None:
        return _by_id(plan, wanted)
    if command.to_stage_name is not None:
        return _by_name(plan, command.to_stage_name)
    return _next(plan, command.from_stage_id)


def _by_id(plan: Sequence[JobStage], wanted: StageId) -> JobStage | Blocked:
    found = next((stage for stage in plan if stage.id == wanted), None)
    if found is None:
        return Blocked(reason=f"stage {wanted} is not a stage of this job", remedy=_REMEDY)
    if not found.active:
        return Blocked(reason=f"stage {found.name!r} was deleted from this job", remedy=_REMEDY)
    return found


def _by_name(plan: Sequence[JobStage], name: str) -> JobStage | Blocked:
    found = _named(plan, name)
    if not found:
        return Blocked(reason=f"this job has no stage named {name!r}", remedy=_REMEDY)
    if len(found) > 1:
        return Blocked(
            reason=f"this job has {len(found)} stages named {name!r}",
            remedy="rename one of them in Greenhouse or name the stage by its id in the workflow, then redrive",
        )
    return found[0]


def _named(plan: Sequence[JobStage], name: str) -> list[JobStage]:
    wanted = name.strip().casefold()
    return [stage for stage in plan if stage.active and stage.name.strip().casefold() == wanted]


def _next(plan: Sequence[JobStage], leaving: StageId) -> JobStage | Blocked:
    left = next((stage for stage in plan if stage.id == leaving), None)
    if left is None:
        return Blocked(reason=f"stage {leaving} is not a stage of this job", remedy=_REMEDY)
    later = [s for s in plan if s.active and (s.sort_order, s.id) > (left.sort_order, left.id)]
    if not later:
        return Blocked(
            reason=f"{left.name!r} is the last stage of this job: there is no next one",
            remedy="name a stage in the workflow, or drop this move",
        )
    return min(later, key=lambda stage: (stage.sort_order, stage.id))
