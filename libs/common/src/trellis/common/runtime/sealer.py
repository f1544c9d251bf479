"""Seals values under a key per account or per candidate, whose loss makes them unreadable."""

from __future__ import annotations

import os
import time

from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.runtime.keyring import Keyring, UnreadableError, decrypt, encrypt
from trellis.common.store.postgres import Connection

CACHE_SECONDS = 60.0
"""How long a process remembers a key; an erased one is gone everywhere after that."""

SETTLED_SECONDS = 300.0
"""A key younger than this is not remembered: one whose row was rolled back would seal what nobody can open."""

ACCOUNT = "account"


def candidate_subject(candidate: CandidateId) -> str:
    """Return the subject under which a candidate's key is kept."""
    return f"candidate:{candidate}"


class Sealer:
    """Seals and opens; the keys live in the schema's `data_key` table, wrapped by the key ring."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._cache: dict[tuple[str, str], tuple[bytes, float]] = {}

    async def seal(self, connection: Connection, account: AccountId, subject: str, plain: bytes, place: str) -> bytes:
        """Return *plain* sealed under the key of *subject*, which is made if there is none.

        Args:
            connection: The caller's transaction.
            account: The tenant.
            subject: `account` or `candidate:ID`.
            plain: What to seal.
            place: Table, column and row it will stand in.
        """
        if subject != ACCOUNT:
            self._cache.pop((account, subject), None)  # it may have been dropped, and another made since
        key = await self._key(connection, account, subject)
        if key is None:
            fresh = os.urandom(32)
            await connection.execute(
                "insert into data_key (account_id, subject, wrapped) values ($1, $2, $3) on conflict do nothing",
                account,
                subject,
                self._keyring.seal(fresh, f"data_key:{account}:{subject}"),
            )
            key = await self._key(connection, account, subject)
            if key is None:
                raise UnreadableError(f"no key could be made for {subject}")
        return encrypt(key, plain, f"{account}:{place}")

    async def open(self, connection: Connection, account: AccountId, subject: str, sealed: bytes, place: str) -> bytes:
        """Return what *sealed* holds.

        Raises:
            UnreadableError: The key was dropped (the person was erased), or the blob belongs elsewhere.
        """
        key = await self._key(connection, account, subject)
        if key is None:
            raise UnreadableError(f"the key of {subject} was dropped")
        return decrypt(key, sealed, f"{account}:{place}")

    async def drop(self, connection: Connection, account: AccountId, subject: str) -> bool:
        """Drop the key of *subject*: all that it sealed is unreadable for ever."""
        self._cache.pop((account, subject), None)
        status = await connection.execute(
            "delete from data_key where account_id = $1 and subject = $2", account, subject
        )
        return status.endswith(" 1")

    async def _key(self, connection: Connection, account: AccountId, subject: str) -> bytes | None:
        cached = self._cache.get((account, subject))
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        row = await connection.fetchrow(
            "select wrapped, created_at < clock_timestamp() - make_interval(secs => $3) as is_settled "
            "from data_key where account_id = $1 and subject = $2",
            account,
            subject,
            SETTLED_SECONDS,
        )
        if row is None:
            return None
        key = self._keyring.open(row["wrapped"], f"data_key:{account}:{subject}")
        if not row["is_settled"]:
            return key  # the transaction that made it may still be rolled back
        if len(self._cache) > 10_000:
            self._cache.clear()
        self._cache[account, subject] = (key, time.monotonic() + CACHE_SECONDS)
        return key
