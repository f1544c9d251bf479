"""Accounts' workflows: immutable versions, and which of them is live."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.store.postgres import Connection
from trellis.workflow.domain.compiling import compile_workflow
from trellis.workflow.domain.rules import Workflow, Workflows

Key = tuple[AccountId, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One live workflow as it is stored."""

    name: str
    version: int
    document: WorkflowDocument


class Definitions:
    """Reads definitions; versions never change, so each is compiled once a process."""

    def __init__(self) -> None:
        self._compiled: dict[Key, Workflow] = {}

    async def workflows(
        self, connection: Connection, accounts: Iterable[AccountId], pinned: Iterable[Key]
    ) -> dict[AccountId, Workflows]:
        """Return what decisions for *accounts* may look at: the live versions and the *pinned* ones."""
        wanted = set(pinned)
        live: dict[AccountId, list[Key]] = {account: [] for account in accounts}
        rows = await connection.fetch(
            "select account_id, name, version, went_live_at from live_workflow where account_id = any($1::text[]) "
            "order by 1, 2",
            list(live),
        )
        went_live: dict[AccountId, dict[str, datetime]] = {account: {} for account in live}
        for row in rows:
            account = AccountId(row["account_id"])
            live[account].append((account, row["name"], row["version"]))
            went_live[account][row["name"]] = row["went_live_at"]
        await self._compile(connection, wanted.union(*live.values()) - self._compiled.keys())
        return {
            account: Workflows(
                live=tuple(self._compiled[key] for key in keys),
                versions={
                    (name, version): self._compiled[owner, name, version]
                    for owner, name, version in {*wanted, *keys}
                    if owner == account
                },
                went_live=went_live[account],
            )
            for account, keys in live.items()
        }

    async def _compile(self, connection: Connection, missing: set[Key]) -> None:
        if not missing:
            return
        keys = sorted(missing)
        rows = await connection.fetch(
            "select w.account_id, w.name, w.version, w.document from workflow w "
            "join unnest($1::text[], $2::text[], $3::int[]) as k (account_id, name, version) using (account_id, name, version)",
            [key[0] for key in keys],
            [key[1] for key in keys],
            [key[2] for key in keys],
        )
        for row in rows:
            document = WorkflowDocument.model_validate_json(row["document"])
            key = (AccountId(row["account_id"]), row["name"], row["version"])
            self._compiled[key] = compile_workflow(document, row["version"])


async def live_definitions(connection: Connection, account: AccountId) -> list[Definition]:
    """Return the live workflows of *account*, by name."""
    rows = await connection.fetch(
        "select w.name, w.version, w.document from live_workflow l join workflow w using (account_id, name, version) "
        "where account_id = $1 order by w.name",
        account,
    )
    return [
        Definition(
            name=row["name"],
            version=row["version"],
            document=WorkflowDocument.model_validate_json(row["document"]),
        )
        for row in rows
    ]


async def put_definitions(
    connection: Connection, account: AccountId, documents: list[WorkflowDocument], settings: dict[str, object]
) -> list[str]:
    """Make *documents* the live workflows of *account* and return what that changed, in words.

    A document equal to the live version changes nothing; a live workflow that is not among them is
    retired: new stage visits are not pinned to it any more.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 11))", account)
    changes: list[str] = []
    stored = json.dumps(settings, sort_keys=True)
    known = await connection.fetchval("select settings from account where account_id = $1", account)
    if known is None:
        changes.append(f"account {account}: new")
    elif known != stored:
        changes.append(f"account {account}: settings changed")
    await connection.execute(
        "insert into account (account_id, settings) values ($1, $2) on conflict (account_id) "
        "do update set settings = excluded.settings, applied_at = clock_timestamp() where account.settings <> excluded.settings",
        account,
        stored,
    )
    live = {item.name: item for item in await live_definitions(connection, account)}
    for document in sorted(documents, key=lambda item: item.name):
        before = live.pop(document.name, None)
        if before is not None and before.document == document:
            continue
        version = await _put_version(connection, account, document)
        changes.append(f"workflow {document.name}: version {version} is live" + ("" if before else " (new)"))
    for name in sorted(live):
        await connection.execute("delete from live_workflow where account_id = $1 and name = $2", account, name)
        changes.append(f"workflow {name}: retired; stage visits under way keep it")
    return changes


async def _put_version(connection: Connection, account: AccountId, document: WorkflowDocument) -> int:
    version: int = await connection.fetchval(
        "insert into workflow (account_id, name, version, document) select $1, $2, coalesce(max(version), 0) + 1, $3 "
        "from workflow where account_id = $1 and name = $2 returning version",
        account,
        document.name,
        document.model_dump_json(by_alias=True, exclude_none=True),
    )
    await connection.execute(
        "insert into live_workflow (account_id, name, version) values ($1, $2, $3) on conflict (account_id, name) "
        "do update set version = excluded.version, since = clock_timestamp()",
        account,
        document.name,
        version,
    )
    return version
