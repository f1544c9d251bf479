"""One token per connection and acting user, shared by all replicas (fact sheet, 5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.integration.greenhouse_actions.bench import ACME, Bench, Replica

from trellis.common.contracts.identifiers import UserId
from trellis.common.errors import TransientError
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.postgres import acquired
from trellis.greenhouse_actions.adapters.tokens import Minted, Token, Tokens
from trellis.greenhouse_actions.connection import Connection

USER = UserId(7)


class CountingMint:
    """A token route that counts, takes its time, and lives as told."""

    def __init__(self, life: float = 3600.0) -> None:
        self.minted = 0
        self.life = timedelta(seconds=life)
        self.fails: Exception | None = None

    async def mint(self, connection: Connection, user: UserId | None) -> Minted:
        await asyncio.sleep(0.05)
        if self.fails is not None:
            raise self.fails
        self.minted += 1
        return Minted(f"token-{self.minted}", self.life)


async def replicas(bench: Bench, mint: CountingMint, count: int = 3) -> tuple[Connection, list[Tokens]]:
    connection = await bench.replica.store.get(ACME)
    assert connection is not None
    return connection, [Tokens(bench.pool, Sealer(bench.keyring), mint) for _ in range(count)]


async def ask(tokens: Sequence[Tokens], connection: Connection) -> list[Token]:
    return await asyncio.gather(*(each.bearer(connection, USER) for each in tokens for _ in range(4)))


async def test_replicas_that_ask_at_once_share_one_token(bench: Bench) -> None:
    mint = CountingMint()
    connection, tokens = await replicas(bench, mint)
    assert {token.value for token in await ask(tokens, connection)} == {"token-1"}
    assert mint.minted == 1


async def test_a_token_is_refreshed_once_when_most_of_its_life_is_over(bench: Bench) -> None:
    mint = CountingMint(life=0.5)
    connection, tokens = await replicas(bench, mint)
    await ask(tokens, connection)
    mint.life = timedelta(hours=1)
    await asyncio.sleep(0.42)  # beyond 80 %, before its end
    assert {token.value for token in await ask(tokens, connection)} == {"token-2"}
    assert mint.minted == 2


async def test_replicas_that_meet_a_401_at_once_fetch_one_new_token(bench: Bench) -> None:
    mint = CountingMint()
    connection, tokens = await replicas(bench, mint)
    (old, *_) = await ask(tokens, connection)
    renewed = await asyncio.gather(*(each.renewed(connection, USER, old) for each in tokens))
    assert {token.value for token in renewed} == {"token-2"}
    assert mint.minted == 2


async def test_after_a_401_a_newer_stored_token_is_used_without_fetching(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, two, _) = await replicas(bench, mint)
    old = await one.bearer(connection, USER)
    await two.bearer(connection, USER)
    newer = await two.renewed(connection, USER, old)
    assert await one.renewed(connection, USER, old) == newer
    assert mint.minted == 2


async def test_acting_users_have_tokens_of_their_own(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, *_) = await replicas(bench, mint)
    values = [(await one.bearer(connection, user)).value for user in (USER, UserId(8), None, USER)]
    assert values == ["token-1", "token-2", "token-3", "token-1"]


async def test_a_failed_fetch_leaves_the_way_free_for_the_next(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, two, _) = await replicas(bench, mint)
    mint.fails = TransientError("away")
    with pytest.raises(TransientError):
        await one.bearer(connection, USER)
    mint.fails = None
    async with asyncio.timeout(2):
        assert (await two.bearer(connection, USER)).value == "token-1"


async def test_a_replica_that_dies_while_fetching_holds_nobody_for_ever(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, two, _) = await replicas(bench, mint)
    task = asyncio.ensure_future(one.bearer(connection, USER))
    await asyncio.sleep(0.03)
    task.cancel()
    async with acquired(bench.pool) as database:  # as its lease will have, some seconds later
        await database.execute("update harvest_token set lease_until = clock_timestamp() - interval '1 s'")
    assert (await two.bearer(connection, USER)).value == "token-1"


async def test_no_token_stands_in_the_database_in_the_clear(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, *_) = await replicas(bench, mint)
    await one.bearer(connection, USER)
    async with acquired(bench.pool) as database:
        rows = await database.fetch("select t::text from harvest_token t")
        rows += await database.fetch("select c::text from harvest_connection c")
    text = "".join(row[0] for row in rows)
    secret = bench.sandbox.account["greenhouse"]["client_secret"]
    assert rows and "token-1" not in text and secret not in text
    assert b"token-1".hex() not in text and secret.encode().hex() not in text


async def test_a_changed_credential_takes_no_token_of_the_old_one(bench: Bench) -> None:
    mint = CountingMint()
    connection, (one, two, _) = await replicas(bench, mint)
    await one.bearer(connection, USER)
    await bench.sandbox.act("rotate_client_secret", secret="another")
    await bench.connect(client_secret="another")
    changed = await bench.replica.store.get(ACME)
    assert changed is not None
    assert (await two.bearer(changed, USER)).value == "token-2"
    with pytest.raises(TransientError):  # who still works with the old connection neither uses nor replaces it
        await two.renewed(connection, USER, Token("x", -1))


@pytest.mark.parametrize("single_active", [True, False])
async def test_replicas_work_with_one_token_against_greenhouse(bench: Bench, single_active: bool) -> None:
    await bench.sandbox.switch("token.single_active", single_active)
    await bench.connect(settings={"v3.single_active_token": single_active})
    others = [bench.another_replica() for _ in range(2)]
    person = await bench.apply()

    async def read(replica: Replica) -> int:
        connected = await replica.harvests.of(ACME)
        return len(await connected.harvest.applications([person["application_id"]]))

    everybody = [bench.replica, *others]
    assert await asyncio.gather(*map(read, everybody)) == [1, 1, 1]
    await bench.sandbox.act("revoke_tokens")
    assert await asyncio.gather(*map(read, everybody)) == [1, 1, 1]
    assert await bench.calls("token") == 2
