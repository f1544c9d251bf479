"""What Coderbyte shows of a person and one assessment, as keyed hashes: compared before and after an invite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trellis.assessments.adapters.coderbyte import Organization, RawReport
from trellis.assessments.domain.results import Report, parse_report
from trellis.assessments.gateway import Gateway
from trellis.common.contracts.identifiers import AccountId, AssessmentId
from trellis.common.runtime.keyring import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one reading showed.

    Attributes:
        attempts: For each assessment attempt the hashes of its keys.
        listing: The hash that stands for the assessment being listed; None when it is not.
    """

    attempts: tuple[frozenset[str], ...]
    listing: str | None

    @property
    def hashes(self) -> frozenset[str]:
        """All of it, to be stored and compared with later."""
        listing = frozenset() if self.listing is None else frozenset({self.listing})
        return listing.union(*self.attempts)

    def beyond(self, known: frozenset[str]) -> bool:
        """Return whether this shows what was not there when *known* was read.

        An attempt is new when none of its keys was known. The listing tells only of someone who had no
        attempt before: attempts may be what is listed.
        """
        if any(not known.intersection(keys) for keys in self.attempts):
            return True
        return self.listing is not None and not known


class Baseline:
    """Reads the attempts (3.4) and the listing (3.3) of one person."""

    def __init__(self, gateway: Gateway, keyring: Keyring) -> None:
        self._gateway = gateway
        self._keyring = keyring

    async def read(
        self, organization: Organization, address: str, assessment_id: AssessmentId, *, until: float
    ) -> Shown:
        """Return every attempt, and whether the assessment is listed.

        Raises:
            CredentialError: The key was rejected.
            TransientError: It could not be read.
        """
        raw = await self._gateway.reports(organization, address, assessment_id, until=until)
        listed = await self._gateway.listed(organization, address, until=until)
        return self.of(organization.account, assessment_id, raw, listed=assessment_id in listed)

    def of(self, account: AccountId, assessment_id: AssessmentId, raw: Sequence[RawReport], *, listed: bool) -> Shown:
        """Return what *raw* reports show."""
        return Shown(
            attempts=tuple(self.keys(account, parse_report(entry)) for entry in raw),
            listing=self._keyring.address_hash(account, f"listed {assessment_id}") if listed else None,
        )

    def keys(self, account: AccountId, report: Report) -> frozenset[str]:
        """Return the hashes of one attempt's keys; one of them may hold an address, so they are keyed."""
        return frozenset(self._keyring.address_hash(account, f"attempt {key}") for key in report.keys)
