"""What is wrong with an account's webhooks, and with the spool. Pure: what was seen comes in, findings go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken
from trellis.common.setup.plumbing import LATE
from trellis.ingest.endpoints import Vendor
from trellis.ingest.silence import Silence

MIXED: Final = timedelta(hours=1)
"""How long a refused webhook counts although authentic ones came after it: one of several may have another secret."""
_NAMES: Final = {Vendor.GREENHOUSE: "Greenhouse", Vendor.CODERBYTE: "Coderbyte"}
_PLACES: Final = {
    Vendor.GREENHOUSE: "Greenhouse, Configure > Dev Center > Web Hooks",
    Vendor.CODERBYTE: "Coderbyte, API settings > Edit webhooks",
}
_RECONCILED: Final = "new entries are found only by reconciliation, minutes later"
_POLLED: Final = "results are found only by polling, hours later"
_ORGANIZATION: Final = frozenset({"issuer_wrong", "organization_wrong"})
_CLOCK: Final = frozenset({"token_expired", "token_early"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The latest webhook that bore the endpoint's token and was answered 401."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSeen:
    """One live endpoint.

    Attributes:
        received_at: When the latest authentic webhook came; None when none ever did.
        silence: How long it has been silent; None when it was never connected.
        refusal: None when none was ever refused.
        opens: Whether every live secret of it can be opened with the key ring.
    """

    vendor: Vendor
    received_at: datetime | None
    silence: Silence | None
    refusal: Refusal | None
    opens: bool


def of_account(endpoints: Sequence[EndpointSeen], now: datetime) -> list[Finding]:
    """Return what is wrong with *endpoints*; of each the cause only, not what follows from it."""
    return [finding for seen in endpoints for finding in _of_endpoint(seen, now)]


def of_spool(rows: int, age: timedelta) -> list[Finding]:
    """Return what is wrong when *rows* facts wait in the spool, the oldest of *age*."""
    if rows == 0 or age < LATE:
        return []
    return [
        Finding(
            check="spool-stuck",
            fault=f"{rows} webhooks wait in the spool, the oldest for {spoken(age)}",
            meaning="those applications stand still until the broker takes the webhooks; nothing is lost",
            remedy="mend what else is found of the broker; else look for `spool.` in the log of ingest",
        )
    ]


def _of_endpoint(seen: EndpointSeen, now: datetime) -> list[Finding]:
    if not seen.opens:
        return [_unreadable(seen.vendor)]
    if seen.refusal is not None and _stands(seen.refusal, seen.received_at, now):
        return [_refused(seen, seen.refusal)]
    if seen.received_at is None:
        return [_NEVER] if seen.vendor is Vendor.GREENHOUSE else []  # Coderbyte pings nobody
    if seen.silence is not None and seen.silence.is_unusual:
        return [_silent(seen.vendor, seen.silence, now)]
    return []


def _stands(refusal: Refusal, received_at: datetime | None, now: datetime) -> bool:
    return received_at is None or refusal.at > received_at or now - refusal.at < MIXED


_NEVER: Final = Finding(
    check="webhook-never-pinged",
    subject=Vendor.GREENHOUSE.value,
    fault="no webhook of Greenhouse ever came, not even the ping of saving one",
    meaning=_RECONCILED,
    remedy=f"make the webhooks with what `trellis endpoints` prints ({_PLACES[Vendor.GREENHOUSE]}); saving pings",
)


def _silent(vendor: Vendor, silence: Silence, now: datetime) -> Finding:
    return Finding(
        check="webhook-silent",
        subject=vendor.value,
        fault=f"no webhook of {_NAMES[vendor]} came for {spoken(now - silence.since)}, where about "
        f"{silence.expected:.0f} come as a rule",
        meaning=_meaning(vendor),
        remedy=f"look whether the webhooks are enabled and their address is right ({_PLACES[vendor]})",
    )


def _refused(seen: EndpointSeen, refusal: Refusal) -> Finding:
    vendor = seen.vendor
    if refusal.reason in _ORGANIZATION:
        return Finding(
            check="organization-wrong",
            subject=vendor.value,
            fault="Coderbyte's webhooks name another organization than the account's file and are refused",
            meaning=_POLLED,
            remedy="put the organization's id into coderbyte.organization_id and apply the file (`trellis apply`)",
        )
    if refusal.reason in _CLOCK:
        return Finding(
            check="clock-skew",
            subject=vendor.value,
            fault=f"webhooks of {_NAMES[vendor]} are refused because our clock and its are far apart",
            meaning=_meaning(vendor),
            remedy="synchronise the clock of the machine that runs ingest (NTP)",
        )
    if vendor is Vendor.GREENHOUSE:
        remedy = f"type the secret of `trellis endpoints` into every webhook ({_PLACES[vendor]}); if it is not shown "
        remedy += "any more, `trellis keys rotate` makes a new one"
    else:
        remedy = "put the organization's present API key into the account's file and apply it (`trellis apply`)"
    return Finding(
        check="webhook-refused",
        subject=vendor.value,
        fault=f"webhooks of {_NAMES[vendor]} are refused with 401 ({refusal.reason.replace('_', ' ')}): its secret is "
        "another than ours",
        meaning=_meaning(vendor),
        remedy=remedy,
    )


def _unreadable(vendor: Vendor) -> Finding:
    return Finding(
        check="secret-unreadable",
        subject=vendor.value,
        fault=f"the secret of {_NAMES[vendor]}'s webhooks cannot be opened with this key ring",
        meaning=_meaning(vendor),
        remedy="give ingest the key ring that the other services have (TRELLIS_KEYRING_FILE), old keys included",
    )


def _meaning(vendor: Vendor) -> str:
    return _RECONCILED if vendor is Vendor.GREENHOUSE else _POLLED
