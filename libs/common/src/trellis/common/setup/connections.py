"""What is wrong with a vendor's connection, whichever vendor: findings that both effect services have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken
from trellis.common.ledger.brakes import Brake, Scope

SKEW: Final = timedelta(seconds=30)
"""How far our clock and a vendor's may be apart; the header that tells it has whole seconds, and travels."""
_NAMES: Final = {"greenhouse": "Greenhouse", "coderbyte": "Coderbyte"}
_MEANINGS: Final = {
    "greenhouse": "no application is read, so nobody is invited, no note is written and nobody moves on; it all waits",
    "coderbyte": "nobody is invited and no result is read; it all waits",
}
_LEAVE: Final = "`trellis brake off --account {account}{option}` when the reason is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSeen:
    """A pause of a connection: what the vendor said no to."""

    reason: str
    remedy: str


def meaning(vendor: str) -> str:
    """Return what it means when nothing can be asked of *vendor*."""
    return _MEANINGS[vendor]


def missing(vendor: str, workflows: Sequence[str]) -> list[Finding]:
    """Return what is wrong when there is no connection; nothing unless one of *workflows* needs it."""
    if not workflows:
        return []
    return [
        Finding(
            check="connection-missing",
            subject=vendor,
            fault=f"there is no {_NAMES[vendor]} connection, which {_listed(workflows)} needs",
            meaning=meaning(vendor),
            remedy=f"state `{vendor}:` in the account's file and apply it (`trellis apply -f trellis.yaml`)",
        )
    ]


def unreadable(vendor: str, service: str) -> Finding:
    """Return the fault of a credential that does not open."""
    return Finding(
        check="credential-unreadable",
        subject=vendor,
        fault=f"the credential of {_NAMES[vendor]} cannot be opened with the key ring of {service}",
        meaning=meaning(vendor),
        remedy=f"give {service} the key ring that sealed it (TRELLIS_KEYRING_FILE), old keys included, "
        "or apply the account's file again",
    )


def away(vendor: str, reason: str) -> Finding:
    """Return the fault of a vendor that does not answer."""
    return Finding(
        check="vendor-away",
        subject=vendor,
        fault=f"{_NAMES[vendor]} does not answer: {reason}",
        meaning=f"{meaning(vendor)} until it answers",
        remedy=f"wait if {_NAMES[vendor]} is down; else mend base_url, the name server, the way out or the proxy's certificate",
    )


def held_back(vendor: str, until: datetime | None) -> list[Finding]:
    """Return that nothing is asked of *vendor* until *until*, since it did not answer several times in a row."""
    if until is None:
        return []
    name = _NAMES[vendor]
    return [
        Finding(
            check="breaker-open",
            subject=vendor,
            fault=f"{name} gave no answer, or a server's error, several times in a row, and is asked nothing until "
            f"{until:%H:%M:%S} UTC",
            meaning=f"{meaning(vendor)} until one reading is answered, and goes out little by little then",
            remedy=f"none is needed when {name} is back: it is tried at least every five minutes; if that does not end it, "
            "mend base_url, the name server, the way out or the proxy's certificate",
        )
    ]


def skewed(vendor: str, skew: timedelta | None) -> list[Finding]:
    """Return what is wrong when our clock is *skew* ahead of the vendor's."""
    if skew is None or abs(skew) <= SKEW:
        return []
    return [
        Finding(
            check="clock-skew",
            subject=vendor,
            fault=f"our clock is {spoken(skew)} {'ahead of' if skew > timedelta() else 'behind'} {_NAMES[vendor]}'s",
            meaning="entries are taken for older or newer than they are, and tokens for alive or dead: invites may wait",
            remedy="synchronise the clock of our machines (NTP)",
        )
    ]


def paused(vendor: str, pause: PauseSeen | None) -> list[Finding]:
    """Return what a pause says, for those whom no other finding explains."""
    if pause is None:
        return []
    return [
        Finding(
            check="connection-paused",
            subject=vendor,
            fault=f"the {_NAMES[vendor]} connection pauses: {pause.reason}",
            meaning=meaning(vendor),
            remedy=pause.remedy,
        )
    ]


def braked(account: str, brakes: Sequence[Brake], now: datetime) -> list[Finding]:
    """Return the brakes that are on."""
    return [_brake(account, brake, now) for brake in brakes]


def _brake(account: str, brake: Brake, now: datetime) -> Finding:
    what = "the account" if brake.scope is Scope.ACCOUNT else f"{brake.scope.value} {brake.name}"
    option = "" if brake.scope is Scope.ACCOUNT else f" --{brake.scope.value} {brake.name}"
    words = f": {brake.reason}" if brake.reason else ""
    return Finding(
        check="brake-on",
        subject=f"{brake.scope.value} {brake.name}".strip(),
        fault=f"the brake of {what} is on for {spoken(now - brake.since)}{words}",
        meaning="what it holds is not begun: nobody gets an invite, a note or a move by it until it is off",
        remedy=_LEAVE.format(account=account, option=option),
    )


def _listed(workflows: Sequence[str]) -> str:
    names = list(dict.fromkeys(workflows))
    return f"workflow {names[0]}" if len(names) == 1 else f"each of the workflows {', '.join(names)}"
