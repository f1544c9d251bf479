"""Keeps what the latest looks found, in the service's own schema: all replicas show it, one says what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from trellis.common.contracts.findings import Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.postgres import Pool, acquired, transaction

FIRST_LOOK_PART: Final = 0.1
"""A new account is looked at after this part of the interval: its administrator is still connecting it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one look found otherwise than the one before: *appeared* in full, *gone* by check, subject and words."""

    appeared: Sequence[Finding]
    gone: Sequence[tuple[str, str, str]]


class Faults(Protocol):
    """Where faults are kept."""

    async def due(self, accounts: Sequence[AccountId], every: timedelta) -> AccountId | None:
        """Return one of *accounts* whose look is due, put off by *every* for everybody else; None when none is.

        What is kept of accounts that are not among them is forgotten.
        """

    async def keep(self, account: AccountId, findings: Sequence[Finding]) -> Change:
        """Make *findings* what is known of *account*, and return what that changed."""

    async def counts(self) -> dict[tuple[AccountId, str], int]:
        """Return how many faults each check found in each account."""


class PostgresFaults:
    """See `Faults`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due(self, accounts: Sequence[AccountId], every: timedelta) -> AccountId | None:
        """See `Faults.due`."""
        async with transaction(self._pool) as database:
            await database.execute("delete from setup_look where account_id <> all($1::text[])", list(accounts))
            await database.execute("delete from setup_fault where account_id <> all($1::text[])", list(accounts))
            await database.execute(
                "insert into setup_look (account_id, due_at) select account_id, "
                "clock_timestamp() + make_interval(secs => $2) from unnest($1::text[]) as wanted (account_id) "
                "where not exists (select 1 from setup_look l where l.account_id = wanted.account_id) "
                "on conflict do nothing",
                list(accounts),
                every.total_seconds() * FIRST_LOOK_PART,
            )
            account = await database.fetchval(
                "with due as materialized (select account_id from setup_look where due_at <= clock_timestamp() "
                "order by due_at limit 1 for update skip locked) "
                "update setup_look l set due_at = clock_timestamp() + make_interval(secs => $1) from due "
                "where l.account_id = due.account_id returning l.account_id",
                every.total_seconds(),
            )
        return None if account is None else AccountId(account)

    async def keep(self, account: AccountId, findings: Sequence[Finding]) -> Change:
        """See `Faults.keep`."""
        found = {(finding.check, finding.subject): finding for finding in findings}
        async with transaction(self._pool) as database:
            await database.execute("select pg_advisory_xact_lock(hashtextextended($1, 23))", account)
            rows = await database.fetch(
                "select check_name, subject, fault from setup_fault where account_id = $1", account
            )
            known = {(row["check_name"], row["subject"]): row["fault"] for row in rows}
            gone = [(check, subject, known[check, subject]) for check, subject in sorted(known.keys() - found.keys())]
            await database.execute(
                "delete from setup_fault f using unnest($2::text[], $3::text[]) as gone (check_name, subject) "
                "where f.account_id = $1 and f.check_name = gone.check_name and f.subject = gone.subject",
                account,
                [check for check, _, _ in gone],
                [subject for _, subject, _ in gone],
            )
            await database.execute(
                "insert into setup_fault (account_id, check_name, subject, fault) "
                "select $1, * from unnest($2::text[], $3::text[], $4::text[]) "
                "on conflict (account_id, check_name, subject) do update set fault = excluded.fault",
                account,
                [check for check, _ in found],
                [subject for _, subject in found],
                [finding.fault for finding in found.values()],
            )
            await database.execute("update setup_look set looked_at = clock_timestamp() where account_id = $1", account)
        return Change(appeared=[found[key] for key in sorted(found.keys() - known.keys())], gone=gone)

    async def counts(self) -> dict[tuple[AccountId, str], int]:
        """See `Faults.counts`."""
        async with acquired(self._pool) as database:
            rows = await database.fetch("select account_id, check_name, count(*) as n from setup_fault group by 1, 2")
        return {(AccountId(row["account_id"]), row["check_name"]): row["n"] for row in rows}
