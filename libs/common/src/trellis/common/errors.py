"""The outcome taxonomy: what a failure lets the caller believe.

Adapters translate library exceptions into these where they arise; above the adapters no library's
exception is named. Messages name ids and values, never personal data or a secret.
"""

from __future__ import annotations

from datetime import timedelta


class TrellisError(Exception):
    """Base of everything Trellis raises on purpose."""


class TransientError(TrellisError):
    """It did not happen; it may later.

    Args:
        reason: What failed, in words an operator understands.
        retry_after: How long the other side asked us to wait; None when it did not say.
    """

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class StoreAwayError(TransientError):
    """The database cannot be reached or refuses work now; consuming must stop until it is back."""


class ConflictError(TransientError):
    """Another writer was first (version conflict, deadlock, serialization); the transaction may be retried."""


class VendorAwayError(TransientError):
    """A vendor gave no answer, or 5xx to a reading; enough of them in a row open its breaker."""


class BrokerAwayError(TransientError):
    """The broker did not confirm: the message may or may not have been stored."""


class PermanentError(TrellisError):
    """It did not and will not happen: trying again cannot help."""


class AmbiguousError(TrellisError):
    """It may have happened: nobody may repeat it before the outside state was read."""


class InputError(TrellisError):
    """A person's or a machine's input is wrong.

    Args:
        field: The path of the faulty field, such as `data.application_id`.
        expected: What was expected there.
        remedy: How to mend it.
    """

    def __init__(self, field: str, expected: str, remedy: str = "") -> None:
        super().__init__(f"{field}: expected {expected}" + (f"; {remedy}" if remedy else ""))
        self.field = field
        self.expected = expected
        self.remedy = remedy
