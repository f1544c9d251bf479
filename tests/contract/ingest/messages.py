"""What the suites of ingest give its ports to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.runtime.ids import uuid7
from trellis.ingest.adapters.sealed_bodies import KeptBody
from trellis.ingest.endpoints import Vendor

ACME, OTHER = AccountId("acme"), AccountId("other")


def fact() -> Envelope:
    return Envelope(
        id=uuid4(),
        source="trellis/ingest",
        accountid=ACME,
        time=datetime(2026, 11, 24, tzinfo=UTC),
        data=CandidateUpdated(candidate_id=CandidateId(1)),
        correlationid="c",
    )


def kept(
    account: AccountId = ACME,
    *,
    fault: str | None = None,
    days_ago: float = 0,
    body: bytes = b"{}",
    ident: UUID | None = None,
    address_hash: str | None = None,
) -> KeptBody:
    received_at = datetime.now(UTC) - timedelta(days=days_ago)
    return KeptBody(
        id=ident or uuid7(), account=account, vendor=Vendor.CODERBYTE, body=body, received_at=received_at, fault=fault,
        address_hash=address_hash,
    )  # fmt: skip
