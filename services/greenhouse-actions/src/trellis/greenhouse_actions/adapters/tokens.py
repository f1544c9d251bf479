"""One access token per connection and acting user, shared by all replicas through the database.

It may be that a new token kills the older one of the same client (greenhouse fact sheet, 5.1), so nobody
fetches one alone: a lease on the row lets one replica fetch, the others wait and use what it stored.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId, UserId
from trellis.common.errors import TransientError, TrellisError
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import ACCOUNT, Sealer
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.connection import Connection

LIFE_USED: Final = 0.8
"""Part of a token's life after which the next one is fetched."""
LEASE_SECONDS: Final = 15
PATIENCE_SECONDS: Final = 20.0
"""How long a caller waits for another replica's fetch."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; a higher *serial* is newer."""

    value: str = field(repr=False)
    serial: int


@dataclass(frozen=True, slots=True)
class Minted:
    """A token as the token route gave it, with its life from now."""

    value: str = field(repr=False)
    life: timedelta


class Mint(Protocol):
    """The token route."""

    async def mint(self, connection: Connection, user: UserId | None) -> Minted:
        """Return a fresh token that acts as *user*.

        Raises:
            CredentialRejectedError: Client, secret or user is not accepted.
            TransientError: The route is away or busy.
        """


@dataclass(frozen=True, slots=True)
class _Stored:
    serial: int
    revision: int
    sealed: bytes | None
    fresh_seconds: float
    dead: bool
    leased: bool


class Tokens:
    """Hands out bearer tokens.

    Args:
        pool: The service's database.
        sealer: Seals them under the account's key.
        mint: The token route.
    """

    def __init__(self, pool: Pool, sealer: Sealer, mint: Mint) -> None:
        self._pool = pool
        self._sealer = sealer
        self._mint = mint
        self._known: dict[tuple[AccountId, UserId | None, int], tuple[Token, float]] = {}

    async def bearer(self, connection: Connection, user: UserId | None) -> Token:
        """Return a living token of *connection* that acts as *user*; fetch one when 80 % of its life are over.

        Raises:
            CredentialRejectedError: The token route refuses the credential.
            TransientError: It is away, or another replica's fetch takes too long.
        """
        known = self._known.get((connection.account, user, connection.revision))
        if known is not None and known[1] > time.monotonic():
            return known[0]
        return await self._obtain(connection, user, newer_than=-1)

    async def renewed(self, connection: Connection, user: UserId | None, rejected: Token) -> Token:
        """Return a token newer than *rejected*, which Greenhouse did not know: the stored one, else a fresh one."""
        self._known.pop((connection.account, user, connection.revision), None)
        return await self._obtain(connection, user, newer_than=rejected.serial)

    async def discard(self, connection: Connection, user: UserId | None, rejected: Token) -> None:
        """Let the next caller fetch a token, unless somebody stored a newer one than *rejected*."""
        self._known.pop((connection.account, user, connection.revision), None)
        async with acquired(self._pool) as database:
            await database.execute(
                "update harvest_token set refresh_at = clock_timestamp(), expires_at = clock_timestamp() "
                "where account_id = $1 and acting_user = $2 and serial = $3",
                connection.account,
                _name(user),
                rejected.serial,
            )

    async def _obtain(self, connection: Connection, user: UserId | None, *, newer_than: int) -> Token:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            stored = await self._stored(connection, user)
            if stored.revision > connection.revision:
                raise TransientError("the connection was just changed", retry_after=timedelta(seconds=1))
            current = stored.revision == connection.revision and stored.sealed is not None
            if current and stored.serial > newer_than and not stored.dead:
                others_fetch = stored.leased and not connection.settings.v3_single_active_token
                if stored.fresh_seconds > 0 or others_fetch:
                    token = await self._opened(connection, user, stored)
                    if token is not None:
                        return token
            if await self._claimed(connection, user, stored.serial):
                return await self._fetched(connection, user, stored.serial)
            if time.monotonic() > give_up:
                raise TransientError("another replica is fetching a token", retry_after=timedelta(seconds=2))
            await asyncio.sleep(0.05)

    async def _stored(self, connection: Connection, user: UserId | None) -> _Stored:
        async with acquired(self._pool) as database:
            row = await database.fetchrow(
                "select serial, revision, sealed, coalesce(expires_at <= clock_timestamp(), true) as dead, "
                "coalesce(lease_until > clock_timestamp(), false) as leased, "
                "coalesce(extract(epoch from refresh_at - clock_timestamp()), 0)::float8 as fresh_seconds "
                "from harvest_token where account_id = $1 and acting_user = $2",
                connection.account,
                _name(user),
            )
            if row is None:
                await database.execute(
                    "insert into harvest_token (account_id, acting_user, revision) "
                    "select account_id, $2, $3 from harvest_connection where account_id = $1 on conflict do nothing",
                    connection.account,
                    _name(user),
                    connection.revision,
                )
                return _Stored(0, connection.revision, None, 0.0, dead=True, leased=False)
        return _Stored(**dict(row))

    async def _claimed(self, connection: Connection, user: UserId | None, serial: int) -> bool:
        async with acquired(self._pool) as database:
            status = await database.execute(
                "update harvest_token set lease_until = clock_timestamp() + make_interval(secs => $4) "
                "where account_id = $1 and acting_user = $2 and serial = $3 and revision <= $5 "
                "and (lease_until is null or lease_until < clock_timestamp())",
                connection.account,
                _name(user),
                serial,
                LEASE_SECONDS,
                connection.revision,
            )
        return status.endswith(" 1")

    async def _fetched(self, connection: Connection, user: UserId | None, serial: int) -> Token:
        try:
            async with asyncio.timeout(LEASE_SECONDS - 2):
                minted = await self._mint.mint(connection, user)
        except TimeoutError:
            await self._release(connection, user, serial)
            raise TransientError("the token route of Greenhouse does not answer") from None
        except TrellisError:
            await self._release(connection, user, serial)
            raise
        token = Token(minted.value, serial + 1)
        life = minted.life.total_seconds()
        async with transaction(self._pool) as database:
            sealed = await self._sealer.seal(
                database, connection.account, ACCOUNT, minted.value.encode(), _place(user, token.serial)
            )
            await database.execute(
                "update harvest_token set sealed = $4, serial = $3 + 1, revision = $7, lease_until = null, "
                "refresh_at = clock_timestamp() + make_interval(secs => $5), "
                "expires_at = clock_timestamp() + make_interval(secs => $6) "
                "where account_id = $1 and acting_user = $2 and serial = $3 and revision <= $7",
                connection.account,
                _name(user),
                serial,
                sealed,
                life * LIFE_USED,
                life,
                connection.revision,
            )
        self._remember(connection, user, token, life * LIFE_USED)
        return token

    async def _release(self, connection: Connection, user: UserId | None, serial: int) -> None:
        async with acquired(self._pool) as database:
            await database.execute(
                "update harvest_token set lease_until = null where account_id = $1 and acting_user = $2 and serial = $3",
                connection.account,
                _name(user),
                serial,
            )

    async def _opened(self, connection: Connection, user: UserId | None, stored: _Stored) -> Token | None:
        try:
            async with acquired(self._pool) as database:
                plain = await self._sealer.open(
                    database, connection.account, ACCOUNT, stored.sealed or b"", _place(user, stored.serial)
                )
        except UnreadableError:  # its key is gone: fetch another
            return None
        token = Token(plain.decode(), stored.serial)
        self._remember(connection, user, token, stored.fresh_seconds)
        return token

    def _remember(self, connection: Connection, user: UserId | None, token: Token, seconds: float) -> None:
        if len(self._known) > 5000:
            self._known.clear()
        self._known[connection.account, user, connection.revision] = (token, time.monotonic() + seconds)


async def forget(database: Database, account: AccountId) -> None:
    """Delete the tokens of *account*, in the transaction that changed its credential."""
    await database.execute("delete from harvest_token where account_id = $1", account)


def _name(user: UserId | None) -> str:
    return "" if user is None else str(user)


def _place(user: UserId | None, serial: int) -> str:
    return f"harvest_token:sealed:{_name(user)}:{serial}"
