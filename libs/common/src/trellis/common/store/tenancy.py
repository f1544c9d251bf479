"""Which account the running code serves: the database then shows and takes that account's rows only (P7).

Every query names its account by itself. This is the second net: each table with an account has a policy of
row-level security that compares it with the setting `trellis.account`, and `postgres.py` puts the account served
here into it, for the transaction only. Work over several accounts (claims, relays, mixed batches, counts) runs
without, and then the policies let everything pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId

_SERVED: Final[ContextVar[AccountId | None]] = ContextVar("served", default=None)


@contextmanager
def serving(account: AccountId | None) -> Iterator[None]:
    """Let the block, and the tasks begun in it, see and write the rows of *account* only; None is all accounts."""
    token = _SERVED.set(account)
    try:
        yield
    finally:
        _SERVED.reset(token)


def served() -> AccountId | None:
    """Return the account that the running code serves; None while it works over several."""
    return _SERVED.get()


def only_account(envelopes: Iterable[Envelope]) -> AccountId | None:
    """Return the account that all *envelopes* belong to; None when there are several, or no envelope."""
    accounts = {item.accountid for item in envelopes}
    return accounts.pop() if len(accounts) == 1 else None
