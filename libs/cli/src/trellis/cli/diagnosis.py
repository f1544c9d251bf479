"""What `trellis doctor` adds to what the services find, and how all of it becomes one list. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken

SKEW: Final = timedelta(seconds=30)
"""How far the clocks of our own machines may be apart; beyond it service tokens begin to be refused."""
_HOLDS: Final[Mapping[str, str]] = {
    "ingest": "webhooks are not taken in; Greenhouse delivers them again for 15 hours, then reconciliation finds them",
    "workflow": "nothing is decided: everybody waits where they are; nothing is lost",
    "greenhouse-actions": "nobody is invited and nothing is written to Greenhouse; it all waits",
    "assessments": "nobody is invited and no result is read; it all waits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A finding with the account it is of; empty for what concerns all."""

    account: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found.

    Attributes:
        found: Each fault once, causes before what they are of.
        accounts: Whose set-up was looked at.
        skipped: What was not looked at, and what would have it be.
    """

    found: Sequence[Told]
    accounts: Sequence[str] = ()
    skipped: Sequence[str] = field(default_factory=tuple)


def merged(told: Iterable[Told]) -> list[Told]:
    """Return *told* without repeats and without what follows from another fault in it.

    Two services may see one fault; a service that is down has no consumer, and one whose schema lacks a
    migration does not answer.
    """
    found: dict[tuple[str, str, str], Told] = {}
    for item in told:
        found.setdefault((item.account, item.finding.check, item.finding.subject), item)
    down = {
        item.finding.subject for item in found.values() if item.finding.check in ("service-away", "migration-pending")
    }
    waiting = {item.finding.subject for item in found.values() if item.finding.check == "migration-pending"}
    return [item for item in found.values() if not _follows(item.finding, down, waiting)]


def _follows(finding: Finding, down: set[str], waiting: set[str]) -> bool:
    if finding.check == "queue-without-consumer":
        return finding.subject.removesuffix(".inbound") in down
    return finding.check == "service-away" and finding.subject in waiting


def service_away(service: str, reason: str) -> Finding:
    """Return the fault of a service that gives no answer."""
    return Finding(
        check="service-away",
        subject=service,
        fault=reason,
        meaning=_HOLDS[service],
        remedy=f"start it (`trellis run {service}`), or mend TRELLIS_{service.upper().replace('-', '_')}_URL",
    )


def service_refuses(service: str) -> Finding:
    """Return the fault of a service that does not accept our service tokens."""
    return Finding(
        check="service-refuses",
        subject=service,
        fault=f"{service} refuses our service token: it has another key ring, or its clock is a minute off",
        meaning="if the services refuse each other too, nobody is invited; it all waits",
        remedy="give every service and this command one key ring (TRELLIS_KEYRING_FILE) and synchronise the clocks (NTP)",
    )


def not_looked(service: str, reason: str) -> Finding:
    """Return that a service could not look at its part."""
    return Finding(
        check="service-cannot-look",
        subject=service,
        fault=f"{service} cannot look at its part now: {reason}",
        meaning="whether anything is wrong there is not known",
        remedy=f"ask again in a minute; if it stays, the log of {service} says what it waits for",
    )


def skewed(service: str, ahead: timedelta) -> list[Finding]:
    """Return what is wrong when the clock of *service* is *ahead* of ours."""
    if abs(ahead) <= SKEW:
        return []
    return [
        Finding(
            check="clock-skew",
            subject=service,
            fault=f"the clock of {service} is {spoken(ahead)} {'ahead of' if ahead > timedelta() else 'behind'} ours",
            meaning="services begin to refuse each other, and entries are taken for older or newer than they are",
            remedy="synchronise the clocks of our machines (NTP)",
        )
    ]


def keyring_unreadable(reason: str) -> Finding:
    """Return the fault of a key ring that cannot be read here, without which no service can be asked."""
    return Finding(
        check="keyring-unreadable",
        fault=reason,
        meaning="a service that cannot read it does not start; here nothing could be asked of the services",
        remedy="name the installation's key ring by TRELLIS_KEYRING_FILE, readable by you; never make a new one for it",
    )


def database_away(reason: str) -> Finding:
    """Return the fault of a database that cannot be reached."""
    return Finding(
        check="database-away",
        fault=f"the database cannot be reached: {reason}",
        meaning="nothing is decided and nobody is invited; webhooks are taken while the broker is there",
        remedy="start PostgreSQL, or mend TRELLIS_MIGRATE_DATABASE_URL",
    )


def migrations_pending(service: str, names: Sequence[str]) -> Finding:
    """Return that the schema of *service* lacks migrations."""
    return Finding(
        check="migration-pending",
        subject=service,
        fault=f"the schema of {service} lacks {', '.join(names)}",
        meaning=f"{service} does not start: {_HOLDS[service]}",
        remedy="run `trellis migrate`",
    )


def reference_missing(reference: str, expected: str, remedy: str) -> Finding:
    """Return that a secret's reference in the account's file leads nowhere."""
    return Finding(
        check="reference-missing",
        subject=reference,
        fault=f"the account's file names {reference}: expected {expected}",
        meaning="the file cannot be applied, so what it changes does not reach anybody",
        remedy=remedy or "mend the reference, or put the secret where it points",
    )
