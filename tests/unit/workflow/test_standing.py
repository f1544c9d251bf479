"""What recruiters are to see of an application in Greenhouse: only what is so now, told when it changes."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from tests.fakes.histories import APPLICATION, CODING, OFFER, TEST, ShownHistory, at, entered, result, settled, snapshot

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action, ShowStanding, Standing
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import CommandId, Visit
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Commanded
from trellis.workflow.domain.outgoing import commands_for
from trellis.workflow.domain.standing import standing_of


class History(ShownHistory):
    """A stream of which recruiters are told."""

    def settle(self, action: Action, state: OutcomeState, reason: str = "", remedy: str = "") -> None:
        kind = {Action.INVITE: e.InviteRequested, Action.NOTE: e.NoteRequested, Action.MOVE: e.MoveRequested}[action]
        asked = self.of(kind)[-1]
        self.tell(
            o.CommandSettled(
                command_id=asked.command_id,  # type: ignore[union-attr]
                action=action,
                application_id=APPLICATION,
                visit=asked.visit,  # type: ignore[union-attr]
                state=state,
                settled_at=at(1),
                reason=reason,
                remedy=remedy,
            )
        )

    @property
    def shown(self) -> tuple[Standing | None, str]:
        assert self.state.shown == standing_of(self.state)
        return self.state.shown


def invited() -> History:
    history = History()
    history.tell(entered(CODING, 0))
    return history


def test_an_application_is_shown_from_its_invite_to_the_next_stage() -> None:
    history = invited()
    assert history.shown == (None, "")
    history.settle(Action.INVITE, OutcomeState.DONE)
    assert history.shown == (Standing.INVITED, "")
    (asked,) = history.of(e.InviteRequested)
    visit, assessment = asked.visit, asked.assessment_id  # type: ignore[union-attr]
    history.tell(o.AssessmentStarted(application_id=APPLICATION, visit=visit, assessment_id=assessment))
    assert history.shown == (Standing.STARTED, "")
    history.tell(result(visit))
    assert history.shown == (Standing.FINISHED, "")
    history.tell(entered(OFFER, 50))
    assert history.shown == (None, "")

    assert len(history.of(e.StandingChanged)) == 4


@pytest.mark.parametrize("state", [OutcomeState.PARKED, OutcomeState.REFUSED])
def test_a_problem_is_shown_with_its_remedy_and_taken_back_when_it_is_solved(state: OutcomeState) -> None:
    history = invited()
    history.settle(Action.INVITE, state, "it has no e-mail address", "add one in Greenhouse")
    assert history.shown == (Standing.PROBLEM, "the invite: it has no e-mail address; add one in Greenhouse")
    if state is OutcomeState.PARKED:
        history.settle(Action.INVITE, OutcomeState.WAITING)
        assert history.shown == (None, "")


def test_a_problem_without_words_is_one_all_the_same() -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.PARKED)
    assert history.shown == (Standing.PROBLEM, "the invite needs a person")


@pytest.mark.parametrize("status", [ApplicationStatus.REJECTED, ApplicationStatus.HIRED])
def test_nothing_is_shown_of_an_application_out_of_the_running(status: ApplicationStatus) -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.DONE)
    fact = f.ApplicationRejected if status is ApplicationStatus.REJECTED else f.ApplicationHired
    history.tell(fact(application=snapshot(CODING, 40, status=status)))
    assert history.shown == (None, "")


def test_nothing_is_shown_of_a_deleted_application() -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.DONE)
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.shown == (None, "")


def test_the_outcome_of_a_command_nobody_asked_for_is_not_shown() -> None:
    history = invited()
    (asked,) = history.of(e.InviteRequested)
    history.tell(
        o.CommandSettled(
            command_id=asked.command_id.__class__(int=5),  # type: ignore[union-attr]
            action=Action.NOTE,
            application_id=APPLICATION,
            visit=asked.visit,  # type: ignore[union-attr]
            state=OutcomeState.PARKED,
            settled_at=at(1),
            reason="x",
        )
    )
    assert history.shown == (None, "")


def test_what_waits_for_a_persons_yes_is_shown_as_waiting() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    offered = replace(history.state, offered=history.state.visit.name if history.state.visit else None)
    assert standing_of(offered)[0] is Standing.WAITING


def test_a_rule_that_asks_a_person_is_shown_as_waiting() -> None:
    history = invited()
    visit = history.state.visit
    assert visit is not None
    held = replace(history.state, held=frozenset({(visit.name, "engineering", "cheat"), (visit.name, "a", "b")}))
    assert standing_of(held) == (Standing.WAITING, "rule b asks a person to decide")


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("state", [OutcomeState.PARKED, OutcomeState.REFUSED])
def test_of_all_that_fails_recruiters_see_what_they_wait_for(action: Action, state: OutcomeState) -> None:
    present = invited().state
    assert present.visit is not None
    failed = Commanded(action=action, visit=present.visit.name, requested=True, state=state, reason="r")
    shown, _ = standing_of(replace(present, commands={CommandId(UUID(int=1)): failed}))
    assert (shown is Standing.PROBLEM) == (action in (Action.INVITE, Action.NOTE, Action.MOVE))


def test_what_a_person_took_back_or_excused_is_not_shown() -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.DONE)
    ((key, _),) = history.state.invites.items()
    history.tell(o.AssessmentStarted(application_id=APPLICATION, visit=key[0], assessment_id=key[1]))
    assert history.shown == (Standing.STARTED, "")
    assert standing_of(replace(history.state, withdrawn=frozenset({key}))) == (None, "")
    assert standing_of(replace(history.state, excused=frozenset({key[0]}))) == (None, "")
    assert standing_of(replace(history.state, erased=True)) == (None, "")


@pytest.mark.parametrize("state", [OutcomeState.REFUSED, OutcomeState.DONE])
def test_what_came_of_a_persons_order_is_no_problem_of_the_application(state: OutcomeState) -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.DONE)
    order = f.InviteOrdered(
        order_id=uuid4(),
        application_id=APPLICATION,
        visit=Visit("n1"),
        order=f.Order.ATTACH,
        assessment_id=TEST,
        signal_id=uuid4(),
    )
    asked = history.tell(order)[-1]
    assert isinstance(asked, e.AttachRequested)
    history.tell(settled(asked.command_id, Action.ATTACH, state))
    assert history.shown == (Standing.INVITED, "")


def test_a_message_that_changes_nothing_of_it_tells_nothing() -> None:
    history = invited()
    again = history.tell(f.ApplicationUpdated(application=snapshot(CODING, 1)))
    assert not [event for event in again if isinstance(event, e.StandingChanged)]


def test_the_command_tells_which_visit_it_is_about_and_counts() -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.DONE)
    (changed,) = history.of(e.StandingChanged)
    (command,) = commands_for(history.state, changed)
    assert isinstance(command, ShowStanding)
    assert (command.standing, command.ordinal, command.stage_id) == (Standing.INVITED, 1, CODING)
    assert command.command_id == changed.command_id  # type: ignore[union-attr]


@pytest.mark.parametrize("action", [Action.ATTACH, Action.WITHDRAW])
def test_what_came_of_a_persons_own_order_is_no_problem_of_recruiters(action: Action) -> None:
    history = invited()
    ((ident, asked),) = history.state.commands.items()
    refused = replace(asked, action=action, state=OutcomeState.REFUSED, reason="the person was erased")
    assert standing_of(replace(history.state, commands={ident: refused})) == (None, "")


def test_of_an_erased_person_only_what_needs_another_is_shown() -> None:
    history = invited()
    history.settle(Action.INVITE, OutcomeState.PARKED, "no address")
    assert standing_of(replace(history.state, erased=True))[0] is Standing.PROBLEM
