"""What the database keeps, read by its owner, past the services and the relay."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import asyncpg

from faults import oracle_of_poison

_SCHEMAS = ("ingest", "workflow", "greenhouse_actions", "assessments")
_OF_PERSON = {
    "the address of an invite": "select count(*) from assessments.invite where account_id = $1 and application_id = $2 "
    "and (address is not null or link is not null or address_hash is not null)",
    "a report": "select count(*) from assessments.result where account_id = $1 and application_id = $2 and report is not null",
}
_OF_CANDIDATE = {
    "the key of a candidate": "select count(*) from assessments.data_key where account_id = $1 and subject = $2",
}
_OF_ADDRESS = {
    "an unmatched webhook": "select count(*) from assessments.unmatched_signal where account_id = $1 and address_hash = $2",
    "a webhook's body": "select count(*) from ingest.sealed_body where account_id = $1 and address_hash = $2",
}
_SECONDS = 10.0


class Kept:
    """The database as its owner sees it.

    Args:
        url: Of the database itself, with a role that no policy binds.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def signal_of(self, account: str, address_hash: str) -> UUID | None:
        """Return the completed assessment that matches no invite and whose address has this hash."""
        query = (
            "select id from assessments.unmatched_signal where account_id = $1 and address_hash = $2 "
            "and kind = 'completed' order by received_at limit 1"
        )
        async with self._connected() as connection:
            found: UUID | None = await connection.fetchval(query, account, address_hash)
            return found

    async def of_person(self, account: str, application: int, candidate: int, address_hash: str) -> list[str]:
        """Return where something of the person can be opened or matched."""
        asked = [
            *((place, query, application) for place, query in _OF_PERSON.items()),
            *((place, query, f"candidate:{candidate}") for place, query in _OF_CANDIDATE.items()),
            *((place, query, address_hash) for place, query in _OF_ADDRESS.items()),
        ]
        async with self._connected() as connection:
            return [place for place, query, about in asked if await connection.fetchval(query, account, about)]

    async def mentions(self, words: Sequence[str]) -> dict[str, list[str]]:
        """Return for each of *words* the tables with a row that holds it, as text or within bytes."""
        found: dict[str, list[str]] = {word: [] for word in words}
        async with self._connected() as connection:
            tables = await connection.fetch(
                "select table_schema, table_name from information_schema.tables "
                "where table_schema = any($1::text[]) and table_type = 'BASE TABLE'",
                _SCHEMAS,
            )
            for schema, table in tables:
                name = f'{schema}."{table}"'
                rows = await connection.fetch(f"select lower(kept::text) as kept from {name} as kept")
                whole = "\n".join(row["kept"] for row in rows)
                for word in words:
                    if word.lower() in whole or word.encode().hex() in whole:
                        found[word].append(name)
        return found

    async def dead_letters(self) -> list[oracle_of_poison.Kept]:
        """Return what waits in the tables of dead letters."""
        found = []
        async with self._connected() as connection:
            for schema in _SCHEMAS:
                query = f"select id, queue, reason, body from {schema}.dead_letter where state = 'waiting'"
                for row in await connection.fetch(query):
                    service = schema.replace("_", "-")
                    found.append(oracle_of_poison.Kept(service=service, **{**row, "id": str(row["id"])}))
        return found

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self._url, timeout=_SECONDS, command_timeout=3 * _SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=_SECONDS)
