"""What a story says of an entry that waits for its settle time."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.fakes.histories import CANDIDATE, DOCUMENT, History, at, entered, workflows

from trellis.common.contracts import facts as f
from trellis.workflow.adapters.event_store import Recorded
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import Input
from trellis.workflow.story import steps_of


def waiting(events: list[e.Event]) -> list[str]:
    """Return until when the story of *events* says that something waits."""
    log = [
        Recorded(
            version=number,
            event=event,
            recorded_at=at(0),
            handled_at=at(0),
            message_id=uuid4(),
            correlationid="c",
        )
        for number, event in enumerate(events, 1)
    ]
    return [step["until"] for step in steps_of(log) if step["outcome"] == "waiting"]


@pytest.mark.parametrize(
    "end",
    [
        f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("email",)),
        f.CandidateErased(candidate_id=CANDIDATE),
        f.CandidateDeleted(candidate_id=CANDIDATE),
    ],
)
def test_an_entry_waits_no_more_when_its_person_is_gone(end: Input) -> None:
    history = History(workflows(DOCUMENT | {"settle_s": 60}))
    events = history.tell(entered())
    assert waiting(events) == [at(1).isoformat()]
    assert waiting([*events, *history.tell(end)]) == []
