"""Each message that nobody can handle is parked once with a cause, and nothing else is: shown on made-up evidence."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from faults.oracle_of_poison import Parking, check, parked, unfinished
from faults.plan import SERVICES
from faults.poison import KINDS, drawn
from tests.unit.faults.made_up import T0, kept, listed, poison

from trellis.common.bus.topology import QUEUES
from trellis.common.contracts.envelope import decode, glimpse
from trellis.common.errors import PermanentError

KNIGHTED = poison()
NOISE = poison("ingest", "unreadable", None)
ROWS = [kept(KNIGHTED), kept(NOISE)]
SHOWN = [listed(ROWS[0]), listed(ROWS[1], None)]
WHOLE = Parking(sent=[KNIGHTED, NOISE], kept=ROWS, listed=SHOWN)


def found(parking: Parking) -> list[tuple[str, str]]:
    return [(one.promise, one.kind) for one in check(parking)]


def test_what_is_parked_once_with_a_cause_is_right_and_counted_by_kind() -> None:
    assert check(WHOLE) == []
    assert parked(WHOLE) == {"unreadable": 1, "unknown": 0, "misfit": 1, "misdirected": 0}


def test_what_is_parked_nowhere_is_lost_and_waited_for() -> None:
    lost = replace(WHOLE, kept=ROWS[1:], listed=SHOWN[1:])
    assert found(lost) == [("P2", "lost")]
    assert unfinished(lost) == check(lost)
    assert "message to workflow (misfit)" in check(lost)[0].text
    assert parked(lost)["misfit"] == 0


@pytest.mark.parametrize("shown", [[], [listed(ROWS[0], None)], [listed(ROWS[0], "two")]])
def test_what_the_list_of_its_account_does_not_show_is_lost_to_people(shown: list[object]) -> None:
    hidden = replace(WHOLE, listed=[*shown, SHOWN[1]])
    assert found(hidden) == [("P5", "lost")]
    assert unfinished(hidden) == check(hidden)


@pytest.mark.parametrize("missing", ["cause", "remedy"])
def test_a_list_without_cause_or_remedy_is_found(missing: str) -> None:
    assert found(replace(WHOLE, listed=[replace(SHOWN[0], **{missing: ""}), SHOWN[1]])) == [("P5", "")]


def test_a_row_without_a_reason_is_found() -> None:
    assert found(replace(WHOLE, kept=[replace(ROWS[0], reason=""), ROWS[1]])) == [("P5", "")]


def test_a_message_with_two_rows_is_doubled() -> None:
    second = replace(ROWS[0], id="another")
    twice = replace(WHOLE, kept=[*ROWS, second], listed=[*SHOWN, listed(second)])
    assert found(twice) == [("P5", "doubled")]
    assert parked(twice)["misfit"] == 0


def test_a_message_that_two_lists_show_is_doubled() -> None:
    assert found(replace(WHOLE, listed=[*SHOWN, listed(ROWS[0], "two")])) == [("P5", "doubled")]


def test_a_message_that_another_service_parked_is_found() -> None:
    row = replace(ROWS[0], service="assessments")
    assert found(replace(WHOLE, kept=[row, ROWS[1]], listed=[listed(row), SHOWN[1]])) == [("P5", "")]


def test_a_message_that_could_have_been_handled_is_found_in_the_table_and_in_the_list() -> None:
    good = kept(poison("assessments", "misfit", body=b"good"), reason="it came back unacknowledged more than 20 times")
    for parking in (replace(WHOLE, kept=[*ROWS, good]), replace(WHOLE, listed=[*SHOWN, listed(good)])):
        (violation,) = check(parking)
        assert violation.promise == "P5"
        assert "which is no poison: it came back" in violation.text
        assert unfinished(parking) == []


def test_equal_bytes_on_two_queues_are_two_messages() -> None:
    other = poison("assessments", body=KNIGHTED.body)
    assert found(replace(WHOLE, sent=[*WHOLE.sent, other])) == [("P2", "lost")]


def test_what_the_broker_never_confirmed_may_be_parked_or_not() -> None:
    assert check(replace(WHOLE, sent=[NOISE], unsure=[KNIGHTED])) == []
    assert check(Parking(sent=[NOISE], unsure=[KNIGHTED], kept=ROWS[1:], listed=SHOWN[1:])) == []


def test_each_service_is_sent_two_kinds_and_all_kinds_come() -> None:
    for seed in range(20):
        messages = drawn(seed, ["one", "two"], T0)
        assert Counter(one.service for one in messages) == dict.fromkeys(SERVICES, 2)
        assert Counter(one.kind for one in messages) == dict.fromkeys(KINDS, 2)
        assert len({one.body for one in messages}) == len(messages)
        assert [one.at for one in messages] == sorted(one.at for one in messages)
        assert messages == drawn(seed, ["one", "two"], T0)


def test_what_is_drawn_can_be_handled_by_nobody_and_tells_its_account() -> None:
    taken = {queue.name: queue.bindings for queue in QUEUES}
    for seed in range(20):
        for one in drawn(seed, ["one", "two"], T0):
            assert glimpse(one.body).account == one.account
            if one.kind == "misdirected":
                assert decode(one.body).routing_key == one.routing_key
                assert one.routing_key not in taken[one.queue]
            else:
                with pytest.raises(PermanentError):
                    decode(one.body)
            if one.kind != "unreadable":
                assert json.loads(one.body)["accountid"] in {"one", "two"}
