"""Whose data is where: sealed, matched by a keyed hash, gone when the person is erased."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.common.contracts.envelope import decode
from trellis.common.contracts.facts import CandidateAnonymized, CandidateDeleted, CandidateMerged, SignalKind
from trellis.common.contracts.identifiers import ApplicationId, CandidateId
from trellis.common.contracts.outcomes import AddressErased

PLANTED = ("jane.doe+planted", "Jane Plantedname", "inviteKey", "report/user", "planted answer text")


async def whole_way(bench: Bench) -> None:
    """An invite in doubt, settled, started, completed and reviewed, and one refused with the vendor's words."""
    bench.twin.fault("invite", "cut_after")
    await bench.take(bench.invite())
    await bench.run(rounds=2)
    bench.twin.join(WHO, TEST)
    await bench.take(bench.signal(SignalKind.STARTED))
    bench.twin.submit(WHO, TEST, name="Jane Plantedname", oe_details=[{"answer": "planted answer text"}])
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.take(bench.signal(SignalKind.REVIEWED), bench.signal(SignalKind.STARTED, who=f"x{WHO}"))
    await bench.run(rounds=2)


async def dump(bench: Bench) -> bytes:
    """Every value of every table, as bytes."""
    found = b""
    for table in await bench.fetch("select tablename from pg_tables where schemaname = 'assessments'"):
        for row in await bench.fetch(f"select * from {table['tablename']}"):
            for value in row.values():
                found += b" " + (value if isinstance(value, bytes) else str(value).encode())
    return found


async def test_no_table_and_no_message_holds_anything_of_the_person_in_the_clear(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    await whole_way(bench)
    kept = await dump(bench)
    assert b"backend-1" in kept
    for planted in PLANTED:
        assert planted.encode() not in kept
        assert planted.lower().encode() not in kept
    exposed = bench.one.metrics.expose().decode()
    out = capsys.readouterr()
    assert "trellis_assessments_coderbyte_calls_total" in exposed
    for planted in PLANTED:
        assert planted not in exposed
        assert planted not in out.out + out.err


async def test_the_key_of_the_api_is_sealed(bench: Bench) -> None:
    await bench.connect(api_key="very-secret-api-key")
    assert b"very-secret-api-key" not in await dump(bench)
    assert "very-secret-api-key" not in repr(await bench.one.api.connections.load(ACME))


@pytest.mark.parametrize("how", ["deleted", "anonymized"])
async def test_erasing_a_candidate_leaves_ids_and_nothing_to_read(bench: Bench, how: str) -> None:
    await whole_way(bench)
    fact = (
        CandidateDeleted(candidate_id=CandidateId(100), application_ids=(ApplicationId(1),))
        if how == "deleted"
        else CandidateAnonymized(candidate_id=CandidateId(100), fields=("emails",))
    )
    await bench.take(bench.envelope(fact))
    (row,) = await bench.fetch("select * from invite")
    assert (row["address"], row["address_hash"], row["link"], row["poll_at"]) == (None, None, None, None)
    assert (row["application_id"], row["assessment_id"]) == (1, TEST)
    assert row["erased_at"] is not None
    assert [r["report"] for r in await bench.fetch("select report from result")] == [None]
    assert await bench.fetch("select 1 from data_key where subject = 'candidate:100'") == []


async def test_after_an_erasure_nothing_is_read_or_matched_any_more(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    await bench.take(bench.envelope(CandidateDeleted(candidate_id=CandidateId(100))))
    before = bench.twin.calls["report"]
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.run(rounds=3)
    assert bench.twin.calls["report"] == before
    assert await bench.results() == []


class ErasesMeanwhile:
    """Coderbyte, with the candidate erased while the answer to a reading is on its way."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def reports(self, *asked: Any) -> Any:
        found = await self._bench.twin.reports(*asked)
        await self._bench.take(self._bench.envelope(CandidateDeleted(candidate_id=CandidateId(100))))
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.twin, name)


async def test_a_report_that_was_being_read_when_its_person_was_erased_is_not_kept(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    bench.port = ErasesMeanwhile(bench)
    assert await bench.replica().reports.read_due() == 1
    (row,) = await bench.fetch("select erased_at, poll_at from invite")
    assert row["erased_at"] is not None
    assert row["poll_at"] is None
    assert await bench.fetch("select 1 from result") == []
    assert await bench.fetch("select 1 from data_key where subject = 'candidate:100'") == []


async def test_erasing_takes_the_unmatched_signals_of_that_address_along(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    await bench.take(bench.signal(SignalKind.STARTED, assessment="another"))
    assert len(await bench.fetch("select 1 from unmatched_signal")) == 1
    await bench.take(bench.envelope(CandidateDeleted(candidate_id=CandidateId(100))))
    assert await bench.fetch("select 1 from unmatched_signal") == []


async def test_erasing_one_candidate_leaves_another_alone(bench: Bench) -> None:
    bench.gate.addresses[2] = "other@mail.example"
    await bench.take(bench.invite(), bench.invite(2, candidate=200))
    await bench.run(rounds=2)
    await bench.take(bench.envelope(CandidateDeleted(candidate_id=CandidateId(100))))
    bench.twin.submit("other@mail.example", TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED, who="other@mail.example"))
    await bench.until(bench.results)


async def test_what_is_open_of_an_erased_person_is_closed_and_a_late_command_too(bench: Bench) -> None:
    bench.twin.fault("invite", "cut_after")
    unknown, waiting, late = bench.invite(), bench.invite(2), bench.invite(3)
    await bench.take(unknown)
    await bench.one.runner.perform_due()
    assert await bench.state(unknown) == "unknown"
    await bench.take(waiting, bench.envelope(CandidateDeleted(candidate_id=CandidateId(100))))
    await bench.take(late)
    sent = bench.twin.calls["invite"]
    await bench.run(rounds=2)
    for command in (unknown, waiting, late):
        assert await bench.state(command) == "superseded"
        assert "erased" in await bench.cause(command)
    assert bench.twin.calls["invite"] == sent


async def test_whose_addresses_are_to_be_forgotten_is_told_by_their_hashes_once(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    (known,) = await bench.fetch("select address_hash from invite")
    erased = bench.envelope(CandidateDeleted(candidate_id=CandidateId(100)))
    await bench.take(erased)
    await bench.take(erased)
    rows = await bench.fetch("select body from outbox where routing_key = 'address.erased.v1'")
    (told,) = [decode(row["body"]) for row in rows]
    assert told.data == AddressErased(address_hashes=(known["address_hash"],))
    assert told.accountid == ACME


async def test_a_merge_takes_invites_and_reports_along_under_the_other_key(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run(rounds=2)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.take(bench.envelope(CandidateMerged(candidate_id=CandidateId(100), into_candidate_id=CandidateId(300))))
    assert await bench.fetch("select 1 from data_key where subject = 'candidate:100'") == []
    assert [row["candidate_id"] for row in await bench.fetch("select candidate_id from invite")] == [300]
    assert [row["candidate_id"] for row in await bench.fetch("select candidate_id from intent")] == [300]
    results = bench.replica().api.publisher.results
    async with bench.pool.acquire() as connection:
        stored = await results.latest(connection, ACME, (await bench.fetch("select command_id from invite"))[0][0])
        assert stored is not None
        raw = await results.open_report(
            connection, ACME, CandidateId(300), (await bench.fetch("select command_id from invite"))[0][0], stored
        )
    assert raw is not None
    assert raw["email"] == WHO
    attempt = bench.twin.attempts[0]
    attempt["final_score"] = 11
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=2)
    assert [result.score for result in await bench.results()] == [80.0, 11.0]


async def test_every_table_and_column_says_what_it_is(bench: Bench) -> None:
    own = ("connection", "invite", "result", "unmatched_signal", "erasure", "erased_address", "merged_candidate")
    rows = await bench.fetch(
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0 "
        "where c.relname = any($1) and c.relkind = 'r' and not a.attisdropped "
        "and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)",
        list(own),
    )
    assert rows == []
