"""Which window is compared next: laws over any mark, present and pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trellis.common.contracts.facts import ApplicationStatus, PassedStage, Stage
from trellis.common.contracts.identifiers import ApplicationId, CandidateId, StageId, StageRowId
from trellis.greenhouse_actions.domain.readings import ApplicationView, ChangeField, StageRow
from trellis.greenhouse_actions.domain.reconciling import (
    LONGEST,
    MOST_PASSED,
    SHORTEST,
    Pace,
    halved,
    merged,
    next_step,
    passed,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
spans = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3))
paces = st.builds(Pace, overlap=spans, delay=st.timedeltas(timedelta(), timedelta(minutes=10)))


@given(age=spans, pace=paces, longest=st.timedeltas(SHORTEST, LONGEST))
def test_windows_leave_no_gap_and_reach_the_present_less_the_delay(
    age: timedelta, pace: Pace, longest: timedelta
) -> None:
    mark = NOW - age
    for _ in range(100_000):
        step = next_step(mark, NOW, pace, longest=longest)
        assert step.window.since == mark - pace.overlap
        assert mark <= step.mark == step.window.until <= max(mark, NOW - pace.delay)
        assert step.mark - mark <= longest
        if step.is_last:
            assert step.mark == max(mark, NOW - pace.delay)
            return
        assert step.mark > mark
        mark = step.mark
    raise AssertionError("the windows never reach the present")


def test_the_mark_never_goes_back_when_the_clock_does() -> None:
    step = next_step(NOW, NOW - timedelta(hours=1), Pace())
    assert step.mark == NOW
    assert step.is_last


def test_a_window_that_is_too_full_is_halved_down_to_a_minute() -> None:
    assert halved(LONGEST) == LONGEST / 2
    assert halved(SHORTEST) == SHORTEST


def test_the_pace_of_an_account_that_sets_none_is_the_documented_one() -> None:
    assert Pace() == Pace(
        fields=(ChangeField.UPDATED_AT, ChangeField.LAST_ACTIVITY_AT),
        interval=timedelta(seconds=600),
        overlap=timedelta(seconds=600),
        delay=timedelta(seconds=60),
        act_within=timedelta(hours=24),
        depth=timedelta(hours=24),
    )
    assert (timedelta(hours=6), timedelta(seconds=60)) == (LONGEST, SHORTEST)


def test_each_application_of_several_lists_counts_once_as_it_was_read_last() -> None:
    def view(ident: int, stage: int) -> ApplicationView:
        return ApplicationView(
            id=ApplicationId(ident),
            candidate_id=CandidateId(1),
            job_id=None,
            status=ApplicationStatus.ACTIVE,
            stage_id=StageId(stage),
        )

    assert merged([[view(9, 1), view(2, 1)], [view(9, 2)], []]) == [view(2, 1), view(9, 2)]
    assert merged([]) == []


def row(number: int, since: int | None, until: int | None, *, current: bool = False) -> StageRow:
    """A stay in stage *number*, from and to so many minutes from now."""
    return StageRow(
        id=StageRowId(100 + number),
        application_id=ApplicationId(1),
        stage_id=StageId(number),
        entered_at=None if since is None else NOW + timedelta(minutes=since),
        exited_at=None if until is None else NOW + timedelta(minutes=until),
        current=current,
    )


def test_stays_that_are_over_are_told_the_oldest_first_with_the_names_at_hand() -> None:
    rows = [row(4, 9, None, current=True), row(3, 5, 9), row(2, 0, 5)]
    assert passed(rows, {StageId(3): "Onsite"}) == (
        PassedStage(stage=Stage(id=StageId(2)), entered_at=NOW, exited_at=NOW + timedelta(minutes=5)),
        PassedStage(
            stage=Stage(id=StageId(3), name="Onsite"),
            entered_at=NOW + timedelta(minutes=5),
            exited_at=NOW + timedelta(minutes=9),
        ),
    )


def test_a_row_that_was_filled_in_later_tells_of_no_stay() -> None:
    assert passed([row(1, None, 5), row(2, 5, None), row(3, None, None)], {}) == ()


def test_of_many_stays_the_latest_are_told() -> None:
    told = passed([row(n, n, n + 1) for n in range(MOST_PASSED + 5)], {})
    assert [stay.stage.id for stay in told] == list(range(5, MOST_PASSED + 5))
