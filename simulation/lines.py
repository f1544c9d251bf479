"""Whether vendors answer, and what each process asked of one that does not: what the oracle knows of breakers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trellis.common.contracts.identifiers import AccountId

FAILURES = 5
"""After so many calls in a row without an answer a process writes nothing before a reading was answered."""
STORM = 30
"""So many calls in a row without an answer are none of a process that waits ever longer between them."""


@dataclass
class Line:
    """What one process asked of one account's vendor.

    Attributes:
        unanswered: Calls without an answer since the latest answer.
        blind: How often a write left when a reading should have been the probe.
        longest: The most calls in a row without an answer.
    """

    process: str
    account: AccountId
    vendor: str
    away: set[tuple[AccountId, str]]
    unanswered: int = 0
    blind: int = 0
    longest: int = 0

    @property
    def is_away(self) -> bool:
        """Whether the vendor does not answer now."""
        return (self.account, self.vendor) in self.away

    @property
    def takes_no_writes(self) -> bool:
        """Whether the vendor answers no writes now."""
        return self.is_away or (self.account, f"{self.vendor}'s writes") in self.away

    def answered(self) -> None:
        """Hear that a call was answered, whatever was said."""
        self.unanswered = 0

    def failed(self) -> None:
        """Hear that a call was not."""
        self.unanswered += 1
        self.longest = max(self.longest, self.unanswered)

    def writes(self) -> None:
        """Hear that a write leaves."""
        if self.unanswered >= FAILURES:
            self.blind += 1


@dataclass
class Lines:
    """All of one history."""

    away: set[tuple[AccountId, str]] = field(default_factory=set)
    known: dict[tuple[str, AccountId, str], Line] = field(default_factory=dict)

    def line(self, process: str, account: AccountId, vendor: str) -> Line:
        """Return that of *process* to *account*'s *vendor*."""
        key = (process, account, vendor)
        if key not in self.known:
            self.known[key] = Line(process, account, vendor, self.away)
        return self.known[key]

    def broken(self) -> Iterator[str]:
        """Yield what no breaker would have let pass."""
        for line in self.known.values():
            if line.blind:
                yield f"breaker: {line.process} probed the {line.vendor} of {line.account} with a write"
            if line.longest > STORM:
                yield f"breaker: {line.process} asked the {line.vendor} of {line.account} {line.longest} times in vain"
