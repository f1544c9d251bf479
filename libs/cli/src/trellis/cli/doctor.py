"""`trellis doctor`: asks every service for its part and looks at what only the command can see."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from trellis.cli import diagnosis, running
from trellis.cli.account_file import AccountFile, resolve
from trellis.cli.diagnosis import Report, Told
from trellis.cli.environment import SERVICES, Clients, clients
from trellis.common.bus.inspection import inspect, managed
from trellis.common.bus.topology import QUEUES, all_queues
from trellis.common.contracts.findings import Finding
from trellis.common.errors import BrokerAwayError, InputError, PermanentError, StoreAwayError, TransientError
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.internal import ServiceAwayError
from trellis.common.setup.plumbing import of_broker

SECONDS: Final = 90.0
"""Longest wait for one service's look: it waits for the background's part of the vendors' rate budgets."""
OF_ACCOUNTS: Final = ("ingest", "greenhouse-actions", "assessments")
"""Services that look at something of one account alone."""


async def examine(account: str | None, file: AccountFile | None = None, folder: Path = Path()) -> Report:
    """Return what is wrong with the installation and with *account*, or with every account.

    Args:
        account: None is every account that was applied.
        file: An account's file whose references are looked at besides.
        folder: Where *file* lies.

    Raises:
        PermanentError: *account* was never applied.
    """
    skipped: list[str] = []
    told = [_of_all(finding) for finding in await _of_database(skipped)]
    told += [_of_all(finding) for finding in await _of_broker(skipped)]
    if file is not None:
        told += [Told(account=file.account, finding=finding) for finding in _of_references(file, folder, os.environ)]
    accounts: Sequence[str] = ()
    try:
        async with clients() as found:
            asked, accounts = await _of_services(found, account)
        told += asked
    except PermanentError as error:
        if isinstance(error, _UnknownAccountError):
            raise
        told.append(_of_all(diagnosis.keyring_unreadable(str(error))))
    return Report(found=diagnosis.merged(told), accounts=accounts, skipped=skipped)


class _UnknownAccountError(PermanentError):
    """No such account was ever applied."""


def _of_all(finding: Finding) -> Told:
    return Told(account="", finding=finding)


# -- what only the command sees


async def _of_database(skipped: list[str]) -> list[Finding]:
    if not os.environ.get("TRELLIS_MIGRATE_DATABASE_URL"):
        skipped.append("migrations: TRELLIS_MIGRATE_DATABASE_URL is not set")
        return []
    try:
        missing = await running.migrate(check=True, phase="pre")
    except StoreAwayError as error:
        return [diagnosis.database_away(str(error))]
    by_schema: dict[str, list[str]] = {}
    for line in missing:
        schema, _, name = line.partition(": ")
        by_schema.setdefault(schema.replace("_", "-"), []).append(name)
    return [diagnosis.migrations_pending(service, names) for service, names in by_schema.items()]


async def _of_broker(skipped: list[str]) -> list[Finding]:
    url, management = os.environ.get("TRELLIS_BROKER_URL"), os.environ.get("TRELLIS_BROKER_MANAGEMENT_URL")
    if not url:
        skipped.append("broker: TRELLIS_BROKER_URL is not set")
        return []
    wanted = all_queues()
    seen = await inspect(url, [queue.name for queue in wanted])
    if management and not seen.away:
        try:
            bindings, settings, alarms = await managed(url, management, QUEUES, wanted)
            seen = replace(seen, bindings=bindings, settings=settings, alarms=alarms)
        except BrokerAwayError as error:
            skipped.append(f"policies and bindings: {error}")
    elif not management:
        skipped.append("policies and bindings: TRELLIS_BROKER_MANAGEMENT_URL is not set")
    return of_broker(seen, QUEUES, wanted)


def _of_references(file: AccountFile, folder: Path, environ: Mapping[str, str]) -> list[Finding]:
    found = []
    for reference in dict.fromkeys(reference for _, reference in file.references()):
        try:
            resolve(reference, environ, folder)
        except InputError as error:
            found.append(diagnosis.reference_missing(reference, error.expected, error.remedy))
    return found


# -- what the services see


async def _of_services(found: Clients, account: str | None) -> tuple[list[Told], list[str]]:
    of_all = await asyncio.gather(*(_asked(found, service, "/internal/v1/findings") for service in SERVICES))
    told = [_of_all(finding) for findings in of_all for finding in findings]
    answering = [
        service for service, findings in zip(SERVICES, of_all, strict=True) if not _is_silent(service, findings)
    ]
    accounts = await _accounts(found, account) if "workflow" in answering else [account] if account else []
    for name in accounts:
        path = f"/internal/v1/accounts/{name}/findings"
        asked = await asyncio.gather(*(_asked(found, service, path) for service in OF_ACCOUNTS if service in answering))
        told += [Told(account=name, finding=finding) for findings in asked for finding in findings]
    return told, accounts


def _is_silent(service: str, findings: Sequence[Finding]) -> bool:
    checks = {finding.check for finding in findings if finding.subject == service}
    return bool(checks & {"service-away", "service-refuses"})


async def _accounts(found: Clients, account: str | None) -> list[str]:
    known: list[str] = await found["workflow"].call("GET", "/internal/v1/accounts")
    if account is None:
        return known
    if account not in known:
        raise _UnknownAccountError(f"no account {account} was applied; there are: {', '.join(known) or 'none'}")
    return [account]


async def _asked(found: Clients, service: str, path: str) -> list[Finding]:
    try:
        client = found[service]
    except PermanentError as error:
        return [diagnosis.service_away(service, str(error))]
    return await _answered(service, lambda: client.call("GET", path, seconds=SECONDS))


async def _answered(service: str, ask: Callable[[], Awaitable[dict[str, Any]]]) -> list[Finding]:
    try:
        said = await ask()
    except ServiceAwayError as error:
        return [diagnosis.service_away(service, str(error))]
    except TransientError as error:
        return [diagnosis.not_looked(service, str(error))]
    except PermanentError as error:
        if "answered 401" in str(error):
            return [diagnosis.service_refuses(service)]
        return [diagnosis.not_looked(service, str(error))]
    now = utc_now()
    findings = [Finding(**item) for item in said["findings"]]
    return findings + diagnosis.skewed(service, datetime.fromisoformat(said["at"]) - now)
