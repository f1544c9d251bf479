"""What the decider records of deletions, merges, anonymisations and erasures, and whom it invites no more."""

from __future__ import annotations

from uuid import uuid4

from tests.fakes.histories import (
    APPLICATION,
    CALL,
    CANDIDATE,
    CODING,
    DOCUMENT,
    OFFER,
    TEST,
    History,
    at,
    entered,
    kinds,
    result,
    workflows,
)
from tests.unit.workflow.telling import ELAPSED, OTHER, note, slow

from trellis.common.contracts import facts as f
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e


def test_a_deletion_says_whose_it_was_and_comes_once() -> None:
    history = History()
    history.tell(entered())
    gone = f.CandidateDeleted(candidate_id=CANDIDATE, application_ids=(APPLICATION,))
    assert history.tell(gone) == [e.ApplicationDeleted(reason="the candidate was deleted in Greenhouse")]
    assert history.tell(gone) == []
    assert history.tell(entered(OFFER, 9)) == [note("ApplicationStageChanged", "the application was deleted before")]


def test_an_unknown_application_can_be_deleted_before_it_is_told_of() -> None:
    history = History()
    told = history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert told == [e.ApplicationDeleted(reason="the application was deleted in Greenhouse")]
    assert kinds(history.tell(entered())) == ["FactNoted"]


def test_a_merge_counts_once_and_only_for_an_application_that_is_there() -> None:
    merged = f.CandidateMerged(candidate_id=CANDIDATE, into_candidate_id=OTHER)
    history = History()
    assert history.tell(merged) == []
    history.tell(entered())
    assert history.tell(merged) == [e.CandidateChanged(candidate_id=OTHER)]
    assert history.tell(merged) == []
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    back = f.CandidateMerged(candidate_id=OTHER, into_candidate_id=CANDIDATE)
    assert history.tell(back) == []


def test_an_anonymised_candidate_is_recorded_for_an_application_that_is_there() -> None:
    anonymized = f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("phone", "email"))
    history = History()
    assert history.tell(anonymized) == []
    history.tell(entered())
    assert history.tell(anonymized) == [e.CandidateAnonymized(fields=("email", "phone"))]
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(anonymized) == []


def test_who_is_anonymised_before_the_settle_time_is_over_is_not_invited() -> None:
    history = slow()
    history.tell(entered())
    history.tell(f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("email",)))
    told = history.tell(ELAPSED, handled=at(2))
    assert kinds(told) == ["StageSettled", "FactNoted"]
    assert isinstance(told[1], e.FactNoted)
    assert "anonymised" in told[1].reason
    assert history.tell(ELAPSED, handled=at(3)) == []


def test_who_was_anonymised_in_an_earlier_stage_visit_is_invited_in_the_next() -> None:
    history = History(workflows(DOCUMENT))
    history.tell(entered(CALL, 0))
    history.tell(f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("notes",)))
    assert "InviteRequested" in kinds(history.tell(entered(CODING, 1)))


def test_after_an_erasure_by_hand_nothing_is_asked_for_any_more() -> None:
    erased = f.CandidateErased(candidate_id=CANDIDATE)
    waiting = workflows(DOCUMENT | {"settle_s": 60})
    history = History(waiting)
    assert history.tell(erased) == []
    history.tell(entered())
    assert history.tell(erased) == [e.CandidateErased()]
    assert history.tell(erased) == []
    told = history.tell(ELAPSED, handled=at(2))
    assert kinds(told) == ["StageSettled", "FactNoted"]
    assert isinstance(told[1], e.FactNoted)
    assert "erased" in told[1].reason
    (received,) = history.tell(result())
    assert isinstance(received, e.ResultReceived)
    assert (received.used, "erased" in received.reason) == (False, True)
    order = f.InviteOrdered(
        order_id=uuid4(), application_id=APPLICATION, visit=Visit("n1"), order=f.Order.SEND, assessment_id=TEST
    )
    (taken,) = history.tell(order)
    assert isinstance(taken, e.OrderTaken)
    assert "erased" in taken.refused
    assert kinds(history.tell(entered(OFFER, 5), handled=at(5)))[0] == "StageEntered"
    assert history.of(e.InviteRequested) == []


def test_who_was_erased_at_once_upon_entering_is_not_invited() -> None:
    history = History()
    history.tell(entered(CALL))
    history.tell(f.CandidateErased(candidate_id=CANDIDATE))
    assert kinds(history.tell(entered(CODING, 5), handled=at(5))) == ["StageEntered", "StageSettled", "FactNoted"]
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(f.CandidateErased(candidate_id=CANDIDATE)) == []


def test_an_edit_of_the_candidate_changes_nothing_here() -> None:
    history = History()
    history.tell(entered())
    assert history.tell(f.CandidateUpdated(candidate_id=CANDIDATE)) == []
