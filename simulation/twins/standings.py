"""How applications stand, in memory: the twin of `standing_store.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from simulation.twins.epochs import is_restored
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Session, Transaction, is_free, tx
from trellis.common.contracts.commands import ShowStanding
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.postgres import Connection as Database
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.standing import NotAllowed
from trellis.greenhouse_actions.standings import Wanted

_CLAIMED = ("account", "command", "correlationid", "shown", "is_unsure", "tries")


class MemoryStandings:
    """See `Standings`.

    Args:
        delay: An account's `standing.delay`.
        revision: That of an account's connection.
    """

    def __init__(
        self,
        session: Session,
        ledger: MemoryLedger,
        delay: Callable[[AccountId], timedelta],
        revision: Callable[[AccountId], int],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._delay = delay
        self._revision = revision

    async def want(self, database: Database, account: AccountId, command: ShowStanding, correlationid: str) -> None:
        """See `Standings.want`."""
        opened, key = tx(database), (account, command.application_id)
        await opened.statement("want a standing")
        row = await opened.lock("standing", key)
        wanted = {"command": command, "ordinal": command.ordinal, "correlationid": correlationid, "tries": 0}
        due_at = opened.now + self._delay(account)
        if row is None:
            fresh = {
                "account": account,
                "shown_ordinal": 0,
                "shown": "",
                "is_unsure": False,
                "lease_until": None,
                "due_at": due_at,
            }
            opened.put("standing", key, fresh | wanted)
        elif row["ordinal"] < command.ordinal:
            waits = row["ordinal"] > row["shown_ordinal"]
            opened.put("standing", key, row | wanted | {"due_at": row["due_at"] if waits else due_at})

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Wanted]:
        """See `Standings.claim`."""
        if not self._session.memory.table("standing"):
            return []
        async with self._session.transaction() as connection:
            opened, counts, found = tx(connection), Counter[AccountId](), list[Wanted]()
            await opened.statement("claim standings")
            due = [(key, row) for key, row in opened.rows("standing") if row["ordinal"] > row["shown_ordinal"]]
            for key, row in sorted(due, key=lambda item: item[1]["due_at"]):
                account = row["account"]
                ready = row["due_at"] <= opened.now and is_free(row["lease_until"], opened.now)
                if not ready or counts[account] >= per_account or not self._may_write(opened, account):
                    continue
                if not opened.free("standing", key):
                    continue
                counts[account] += 1
                opened.grab("standing", key)
                opened.put("standing", key, row | {"lease_until": opened.now + lease, "is_unsure": True})
                found.append(Wanted(**{name: row[name] for name in _CLAIMED}))
            return found

    async def settle(self, wanted: Wanted, shown: str, note: Envelope | None) -> None:
        """See `Standings.settle`."""
        async with self._session.transaction() as connection:
            opened, key = tx(connection), (wanted.account, wanted.command.application_id)
            if note is not None:
                await self._ledger.take_in(connection, note, VENDOR, None)
            await opened.statement("settle a standing")
            told = {"shown_ordinal": wanted.command.ordinal, "shown": shown, "is_unsure": False, "tries": 0}
            await opened.update("standing", key, **told, lease_until=None)

    async def postpone(self, wanted: Sequence[Wanted], reason: str, wait: timedelta) -> None:
        """See `Standings.postpone`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            for item in wanted:
                row = await opened.lock("standing", (item.account, item.command.application_id))
                if row is not None:
                    later = {"due_at": opened.now + wait, "lease_until": None, "tries": row["tries"] + 1}
                    opened.put("standing", (item.account, item.command.application_id), row | later)

    async def refuse(self, account: AccountId, revision: int, refused: NotAllowed, wait: timedelta) -> None:
        """See `Standings.refuse`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("refuse standings")
            await opened.hold(("standing_refusal", account))
            row = {"revision": revision, "refused": refused, "until": opened.now + wait}
            opened.put("standing_refusal", account, row)

    async def refusal(self, account: AccountId, revision: int) -> NotAllowed | None:
        """See `Standings.refusal`."""
        async with self._session.acquired() as connection:
            await tx(connection).statement("refusal of standings")
            row = tx(connection).get("standing_refusal", account)
        if row is None or row["revision"] != revision:
            return None
        refused: NotAllowed = row["refused"]
        return refused

    def _may_write(self, opened: Transaction, account: AccountId) -> bool:
        refusal = opened.get("standing_refusal", account)
        refused = (
            refusal is not None and refusal["revision"] == self._revision(account) and refusal["until"] > opened.now
        )
        scopes = (("account", ""), ("connection", VENDOR))
        braked = any(opened.get("brake", (account, *scope)) is not None for scope in scopes)
        return not refused and not braked and not is_restored(opened) and opened.get("pause", (account, VENDOR)) is None
