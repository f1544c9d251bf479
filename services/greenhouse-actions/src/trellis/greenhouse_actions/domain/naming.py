"""What workflows name in Greenhouse, and which stages those names mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trellis.common.contracts.findings import Finding
from trellis.common.contracts.identifiers import JobId, StageId
from trellis.common.contracts.workflows import Action, Condition, Rule, WorkflowDocument
from trellis.greenhouse_actions.domain.readings import JobStage

_REMEDY: Final = "put the stage's present name or its id into the workflow and apply the file (`trellis apply`)"
_MEANING: Final = "its rule never fires or its move is parked: applications stand still there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A stage as a workflow names it.

    Attributes:
        workflow: Its name and the rule's: `engineering/send-test`.
        jobs: Where it is looked for; None is every job.
        stage: Its id or its name.
    """

    workflow: str
    jobs: frozenset[JobId] | None
    stage: int | str


def named_stages(documents: Iterable[WorkflowDocument]) -> list[Named]:
    """Return every stage that the *documents* name, in their order."""
    found = []
    for document in documents:
        jobs = None if document.jobs == "any" else frozenset(JobId(job) for job in document.jobs)
        for rule in document.rules:
            where = f"{document.name}/{rule.name}"
            found += [Named(workflow=where, jobs=jobs, stage=stage) for stage in _of_rule(rule)]
    return found


def named_jobs(documents: Iterable[WorkflowDocument]) -> frozenset[JobId] | None:
    """Return the jobs that the *documents* apply to; None when one of them applies to any."""
    jobs: set[JobId] = set()
    for document in documents:
        if document.jobs == "any":
            return None
        jobs |= {JobId(job) for job in document.jobs}
    return frozenset(jobs)


def meant(named: Iterable[Named], stages: Sequence[JobStage]) -> set[tuple[str, StageId]]:
    """Return the active stages that each name means now."""
    return {(item.stage, stage.id) for item in named if isinstance(item.stage, str) for stage in _matches(item, stages)}


def of_names(
    named: Sequence[Named],
    jobs: frozenset[JobId] | None,
    stages: Sequence[JobStage],
    remembered: Mapping[str, frozenset[StageId]],
) -> list[Finding]:
    """Return what is wrong with the names; each job and stage once, with the first rule that names it.

    Args:
        named: What the workflows name.
        jobs: The jobs they apply to; None when one applies to any.
        stages: All stages of these jobs, or of all jobs; deleted ones included.
        remembered: Which stages bore a name before.
    """
    shown = {stage.job_id for stage in stages}
    lost = frozenset() if jobs is None else jobs - shown
    found = {f"job {job}": _job(job) for job in sorted(lost)}
    for item in named:
        if item.jobs is not None and item.jobs <= lost:
            continue
        if not _matches(item, stages):
            found.setdefault(f"stage {item.stage}", _stage(item, stages, remembered))
    return list(found.values())


def _matches(item: Named, stages: Iterable[JobStage]) -> list[JobStage]:
    return [stage for stage in _within(item, stages) if stage.active and item.stage in (stage.id, stage.name)]


def _within(item: Named, stages: Iterable[JobStage]) -> Iterator[JobStage]:
    return (stage for stage in stages if item.jobs is None or stage.job_id in item.jobs)


def _stage(item: Named, stages: Sequence[JobStage], remembered: Mapping[str, frozenset[StageId]]) -> Finding:
    before = remembered.get(item.stage, frozenset()) if isinstance(item.stage, str) else frozenset()
    renamed = sorted({stage.name for stage in _within(item, stages) if stage.active and stage.id in before})
    what = f"stage {item.stage!r}" if isinstance(item.stage, str) else f"stage {item.stage}"
    if renamed:
        check, fault = "stage-renamed", f"{what} is called {' or '.join(map(repr, renamed))} in Greenhouse now"
    elif before or any(item.stage in (stage.id, stage.name) for stage in _within(item, stages)):
        check, fault = "stage-deleted", f"{what} was deleted in Greenhouse"
    else:
        check, fault = "stage-unknown", f"{what} is in none of the workflow's jobs"
    return Finding(
        check=check,
        subject=str(item.stage),
        fault=f"{fault}; {item.workflow} names it",
        meaning=_MEANING,
        remedy=_REMEDY,
    )


def _job(job: JobId) -> Finding:
    return Finding(
        check="job-unknown",
        subject=str(job),
        fault=f"Greenhouse shows no job {job}: it was deleted, or is confidential",
        meaning="no rule fires for its applications",
        remedy="take the job out of the workflow, or let the service user see it, and apply the file (`trellis apply`)",
    )


def _of_rule(rule: Rule) -> list[int | str]:
    found: list[int | str] = [] if rule.when.stage_entered is None else list(rule.when.stage_entered.stage)
    if rule.if_ is not None:
        found += _of_condition(rule.if_)
    return found + [stage for action in rule.then for stage in _of_action(action)]


def _of_condition(condition: Condition) -> list[int | str]:
    inner = [*(condition.all or ()), *(condition.any or ()), *([condition.not_] if condition.not_ else ())]
    return [*(condition.stage or ()), *(stage for each in inner for stage in _of_condition(each))]


def _of_action(action: Action) -> list[int | str]:
    return [] if action.move is None or action.move == "next" else [action.move]
