"""Erasing by hand, the journal of erasures and its replay, over the internal API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.assessments.adapters.erasure_journal import ErasureJournal
from trellis.assessments.erasure_api import ErasureApi
from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.contracts.facts import CandidateDeleted, CandidateErased, SignalKind
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.runtime.http import faults
from trellis.common.store.database import PostgresDatabase

JANE = f"/internal/v1/accounts/{ACME}/candidates/100"


class Api:
    def __init__(self, client: TestClient[Any, Any], bench: Bench) -> None:
        self._client = client
        self._bench = bench

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._client.request(method, path, json=body) as answer:
            assert WHO not in await answer.text()
            return answer.status, await answer.json()

    async def carried(self) -> list[Envelope]:
        """Hand every fact in the outbox that erases to the handler, as the broker would, and return them."""
        rows = await self._bench.fetch("select body from outbox where routing_key like 'candidate.%' order by position")
        facts = [decode(row["body"]) for row in rows]
        await self._bench.take(*facts)
        return facts


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[Api]:
    app = web.Application(middlewares=[faults])
    ErasureApi(database=PostgresDatabase(bench.pool), journal=ErasureJournal(), relay=bench.one.api.relay).add_routes(
        app
    )
    client = TestClient(TestServer(app))
    await client.start_server()
    yield Api(client, bench)
    await client.close()


async def tested(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)


async def test_what_is_kept_is_counted_and_gone_after_the_order(bench: Bench, api: Api) -> None:
    await tested(bench)
    before = {
        "why": None,
        "merged_into": None,
        "invite_count": 1,
        "address_count": 1,
        "report_count": 1,
        "open_count": 0,
    }
    assert await api.call("GET", f"{JANE}/kept") == (200, before)
    assert await api.call("POST", f"{JANE}/erase") == (202, {"ordered": True})
    (fact,) = await api.carried()
    assert (fact.accountid, fact.data) == (ACME, CandidateErased(candidate_id=CandidateId(100)))
    after = before | {"why": "by_hand", "address_count": 0, "report_count": 0}
    assert await api.call("GET", f"{JANE}/kept") == (200, after)
    assert (await api.call("GET", "/internal/v1/accounts/globex/candidates/100/kept"))[1]["why"] is None
    assert (await api.call("POST", f"/internal/v1/accounts/{ACME}/candidates/jane/erase"))[0] == 422


async def test_the_journal_is_read_in_portions_and_applied_again(bench: Bench, api: Api) -> None:
    _, nothing = await api.call("GET", "/internal/v1/erasures")
    assert nothing == {"erasures": [], "replayed_at": None}
    await tested(bench)
    body = {
        "erasures": [
            {"candidate": 100, "why": "by_hand", "when": "2026-11-24T09:00:00Z"},
            {"candidate": 200, "why": "deleted", "when": "2026-11-24T09:00:00Z"},
        ]
    }
    replay = f"/internal/v1/accounts/{ACME}/erasures/replay"
    assert await api.call("POST", replay, body) == (202, {"count": 2})
    assert await api.call("POST", replay, body) == (202, {"count": 2})
    facts = await api.carried()
    assert len({fact.id for fact in facts}) == 4
    assert CandidateDeleted(candidate_id=CandidateId(200)) in [fact.data for fact in facts]
    assert [row["report"] for row in await bench.fetch("select report from result")] == [None]
    _, first = await api.call("GET", "/internal/v1/erasures?most=1")
    assert [(one["account"], one["candidate"], one["why"]) for one in first["erasures"]] == [(ACME, 100, "by_hand")]
    _, rest = await api.call("GET", f"/internal/v1/erasures?after={ACME}/100")
    assert [(one["candidate"], one["why"]) for one in rest["erasures"]] == [(200, "deleted")]
    assert await api.call("POST", "/internal/v1/erasures/replayed", {"count": 2}) == (200, {"count": 2})
    assert (await api.call("GET", "/internal/v1/erasures?most=0"))[1]["replayed_at"] is not None
    for wrong in ({"erasures": [{"candidate": "jane"}]}, {}, {"erasures": [{**body["erasures"][0], "name": "jane"}]}):
        assert (await api.call("POST", replay, wrong))[0] == 422


async def test_an_erasure_stays_even_if_only_told_of_a_merged_person(bench: Bench, api: Api) -> None:
    await tested(bench)
    async with PostgresDatabase(bench.pool).transaction() as connection:
        await connection.execute("insert into merged_candidate values ($1, 100, 300)", AccountId(ACME))
    assert (await api.call("GET", f"{JANE}/kept"))[1]["merged_into"] == 300
