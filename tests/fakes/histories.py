"""Given, when, then for the decider, and short ways to say what Greenhouse says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import ApplicationSnapshot, ApplicationStatus, Stage
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
)
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, fold, initial_state
from trellis.workflow.domain.compiling import compile_workflow
from trellis.workflow.domain.decisions import Input, Message, decide
from trellis.workflow.domain.rules import Workflows
from trellis.workflow.domain.standing import respond

ACCOUNT = AccountId("northwind")
APPLICATION = ApplicationId(6200455003)
CANDIDATE = CandidateId(5600191003)
JOB = JobId(4120077003)
REVIEW, CALL, CODING, OFFER = StageId(7310087003), StageId(7310086003), StageId(7310088003), StageId(7310089003)
NAMES = {REVIEW: "Application Review", CALL: "Recruiter Call", CODING: "Coding Assessment", OFFER: "Offer"}
TEST = AssessmentId("backend-assessment-7kq2vd91xw")
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

DOCUMENT = {
    "name": "engineering",
    "settle_s": 0,
    "rules": [
        {
            "name": "send-test",
            "when": {"stage_entered": {"stage": "Coding Assessment"}},
            "then": [{"send_assessment": TEST}],
        },
        {
            "name": "hold-cheats",
            "when": {"assessment_completed": {"assessment": TEST}},
            "if": {"integrity": ["suspected", "detected"]},
            "then": [{"ask_approval": "The report shows signs of cheating. Move on?"}, {"move": "next"}],
        },
        {
            "name": "pass",
            "when": {"assessment_completed": {"assessment": TEST}},
            "if": {"all": [{"qualified": True}, {"score": {"at_least": 70}}, {"integrity": "none"}]},
            "then": [{"add_note": None}, {"move": "next"}],
        },
        {
            "name": "fail",
            "when": {"assessment_completed": {"assessment": TEST}},
            "if": {"qualified": False},
            "then": [{"add_note": "{assessment}: {score} of 100, {qualified}."}],
        },
    ],
}


def workflows(document: dict[str, object] | None = None, *, version: int = 1) -> Workflows:
    """The account's workflows: the document above, or another, alone and live."""
    workflow = compile_workflow(WorkflowDocument.model_validate(document or DOCUMENT), version)
    return Workflows(live=(workflow,), versions={(workflow.name, workflow.version): workflow})


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def snapshot(stage: StageId | None = CODING, minutes: float | None = 0, **more: object) -> ApplicationSnapshot:
    fields: dict[str, object] = {
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "stage": None if stage is None else Stage(id=stage, name=NAMES[stage]),
        "status": ApplicationStatus.ACTIVE,
        "last_activity_at": None if minutes is None else at(minutes),
    }
    return ApplicationSnapshot(**(fields | more))  # type: ignore[arg-type]


def entered(stage: StageId = CODING, minutes: float | None = 0, **more: object) -> f.ApplicationStageChanged:
    return f.ApplicationStageChanged(application=snapshot(stage, minutes, **more))


def result(visit: str = "n1", *, version: int = 1, **more: object) -> o.AssessmentCompleted:
    fields: dict[str, object] = {
        "application_id": APPLICATION,
        "visit": Visit(visit),
        "assessment_id": TEST,
        "result_version": version,
        "completed_at": at(60),
        "score": 82.0,
        "qualified": True,
        "integrity": o.Integrity.NONE,
    }
    return o.AssessmentCompleted(**(fields | more))  # type: ignore[arg-type]


def settled(
    command: CommandId, action: Action, state: o.OutcomeState = o.OutcomeState.DONE, visit: str = "n1"
) -> o.CommandSettled:
    return o.CommandSettled(
        command_id=command,
        action=action,
        application_id=APPLICATION,
        visit=Visit(visit),
        state=state,
        settled_at=at(5),
        attempt=1,
    )


class History:
    """One application's stream as it grows; of `decide` alone, or with what recruiters are to see (`respond`)."""

    decider = staticmethod(decide)

    def __init__(self, defined: Workflows | None = None) -> None:
        self.workflows = defined or workflows()
        self.events: list[e.Event] = []

    @property
    def state(self) -> Application:
        return fold(initial_state(ACCOUNT, APPLICATION), self.events)

    def tell(self, data: Input, *, handled: datetime | None = None, name: str | None = None) -> list[e.Event]:
        """Decide one message and record what follows."""
        message = Message(name=name or type(data).__name__, data=data, handled_at=handled or at(0))
        new = self.decider(self.state, message, self.workflows)
        self.events += new
        return new

    def of(self, kind: type[e.Event]) -> list[e.Event]:
        return [event for event in self.events if isinstance(event, kind)]


class ShownHistory(History):
    """One application's stream, with what recruiters are to see of it."""

    decider = staticmethod(respond)


def kinds(events: Sequence[e.Event]) -> list[str]:
    return [type(event).__name__ for event in events]
