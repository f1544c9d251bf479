"""What the oracle finds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from faults.seen import Json, Seen


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that did not hold."""

    promise: str
    account: str
    application: int | None
    text: str
    kind: str = ""
    """`lost`, `doubled`, or nothing."""

    def as_json(self) -> Json:
        """Return it as an object of the last line."""
        return {
            "promise": self.promise,
            "account": self.account,
            "application": self.application,
            "text": self.text,
            "kind": self.kind,
        }


def violation(seen: Seen, promise: str, application: int | None, text: str, kind: str = "") -> Violation:
    """Return what did not hold in the account of *seen*."""
    return Violation(promise, seen.account, application, text, kind)
