"""The stores of greenhouse-actions in memory: twins of its `adapters/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Row, Session, Transaction, is_free, tx
from trellis.common.contracts.commands import Action
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, JobId, StageId, Visit
from trellis.common.errors import ConflictError
from trellis.common.ledger.effects import Unauthorized
from trellis.common.ledger.states import State
from trellis.common.store.postgres import Connection as Database
from trellis.greenhouse_actions.adapters.connection_store import Pause
from trellis.greenhouse_actions.adapters.stage_cache import FRESH_MINUTES
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.effects import OwnMove
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.domain.stages import fixed_target
from trellis.greenhouse_actions.questions import Question
from trellis.greenhouse_actions.reconciliations import Claim, Progress

_ENDED = (State.DONE, State.REFUSED, State.SUPERSEDED)
_MOST_MERGES = 21
_WITH_NOTES = frozenset({"notes", "activity_items"})
_MAY_BE = (State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT, State.DONE)


class MemoryKnown:
    """See `Known` and `Questions`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(self, database: Database, question: Question) -> None:
        """See `Known.ask`."""
        opened = tx(database)
        await opened.statement("ask")
        row = {"question": question, "due_at": opened.now, "lease_until": None, "tries": 0}
        await opened.insert("observation", question.command_id, row)

    async def record_anonymized(
        self, database: Database, account: AccountId, fact: CandidateAnonymized, at: datetime
    ) -> None:
        """See `Known.record_anonymized`."""
        opened, key, fields = tx(database), (account, fact.candidate_id), frozenset(fact.fields)
        await opened.statement("anonymized")
        known = await opened.lock("anonymized", key)
        if known is not None:
            fields = fields | known["fields"] if fields and known["fields"] else frozenset()
            at = max(at, known["at"])
        opened.put("anonymized", key, {"fields": fields, "at": at})

    async def record_merged(self, database: Database, account: AccountId, fact: CandidateMerged) -> None:
        """See `Known.record_merged`."""
        opened, old, new = tx(database), fact.candidate_id, fact.into_candidate_id
        await opened.statement("merged")
        if old == new:
            return
        await opened.hold(("merged", (account, old)))
        opened.put("merged", (account, old), {"into": new})
        for ident, row in list(opened.rows("intent")):
            if (row["account"], row["candidate_id"]) == (account, old) and row["state"] not in _ENDED:
                await opened.update("intent", ident, candidate_id=new)

    async def drop_stages(
        self, database: Database, account: AccountId, job: JobId | None, stage: StageId | None = None
    ) -> None:
        """See `Known.drop_stages`."""
        opened, every = tx(database), job is None and stage is not None
        await opened.statement("drop stages")
        for key, _ in list(opened.rows("stages")):
            if key == (account, job) or (every and key[0] == account):
                await opened.hold(("stages", key))
                opened.put("stages", key, None)

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Question]:
        """See `Questions.claim`."""
        if not self._session.memory.table("observation"):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim questions")
            found: list[Question] = []
            counts: Counter[AccountId] = Counter()
            for ident, row in sorted(opened.rows("observation"), key=_due_at):
                account = row["question"].account_id
                due = row["due_at"] <= opened.now and is_free(row["lease_until"], opened.now)
                if due and counts[account] < per_account and opened.free("observation", ident):
                    counts[account] += 1
                    opened.grab("observation", ident)
                    opened.put("observation", ident, row | {"lease_until": opened.now + lease})
                    found.append(replace(row["question"], tries=row["tries"]))
            return found

    async def answer(self, account: AccountId, questions: Sequence[Question], facts: Sequence[Envelope]) -> None:
        """See `Questions.answer`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await self._session.put_out(connection, facts)
            for question in questions:
                row = await opened.lock("observation", question.command_id)
                if row is not None and row["question"].account_id == account:
                    opened.put("observation", question.command_id, None)

    async def postpone(self, questions: Sequence[Question], reason: str, wait: timedelta) -> None:
        """See `Questions.postpone`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            for question in questions:
                row = await opened.lock("observation", question.command_id)
                if row is not None:
                    later = {"due_at": opened.now + wait, "lease_until": None, "tries": row["tries"] + 1}
                    opened.put("observation", question.command_id, row | later)


class MemoryPauses:
    """See `Pauses` and `PausesOf`; the twin of `LedgerPauses`."""

    def __init__(self, session: Session, ledger: MemoryLedger) -> None:
        self._session = session
        self._ledger = ledger

    async def put(self, account: AccountId, said: Unauthorized, retry: timedelta) -> None:
        """See `Pauses.put`."""
        async with self._session.transaction() as connection:
            await self._ledger.pause(connection, account, VENDOR, said.reason, said.remedy, retry)

    async def mended(self, account: AccountId, reasons: Iterable[str]) -> None:
        """See `Pauses.mended`."""
        known = self._session.memory.table("pause").get((account, VENDOR))
        if known is not None and known["reason"] in frozenset(reasons):
            async with self._session.transaction() as connection:
                await self._ledger.unpause(connection, account, VENDOR)

    async def pause_of(self, account: AccountId) -> Pause | None:
        """See `PausesOf.pause_of`."""
        async with self._session.acquired() as connection:
            await tx(connection).statement("pause of")
            row = tx(connection).get("pause", (account, VENDOR))
        if row is None:
            return None
        return Pause(reason=row["reason"], remedy=row["remedy"], since=row["since"], retry_at=row["retry_at"])


class MemoryMoves:
    """See `OwnMoves`; the twin of `LedgerMoves`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of(
        self, account: AccountId, applications: Sequence[ApplicationId]
    ) -> Mapping[ApplicationId, list[OwnMove]]:
        """See `OwnMoves.of`."""
        found: dict[ApplicationId, list[OwnMove]] = {}
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("own moves")
            for _, row in opened.rows("intent"):
                own = (
                    row["account"] == account and row["action"] is Action.MOVE and row["application_id"] in applications
                )
                retried = row["state"] in (State.WAITING, State.PARKED) and row["retries"] > 0
                target = fixed_target(row["resolved"])
                if own and row["attempt"] > 0 and (row["state"] in _MAY_BE or retried) and target is not None:
                    move = OwnMove(
                        visit=Visit(row["visit"]),
                        from_stage_id=row["command"].from_stage_id,
                        to_stage_id=target,
                        attempted_at=row["attempted_at"],
                    )
                    found.setdefault(row["application_id"], []).append(move)
        return found


class MemoryStages:
    """See `StageStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, account: AccountId, job: JobId) -> list[JobStage] | None:
        """See `StageStore.get`."""
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("stages")
            row = opened.get("stages", (account, job))
            if row is None or row["read_at"] <= opened.now - timedelta(minutes=FRESH_MINUTES):
                return None
            return list(row["stages"])

    async def put(self, account: AccountId, job: JobId, stages: Sequence[JobStage]) -> None:
        """See `StageStore.put`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.lock("stages", (account, job))
            opened.put("stages", (account, job), {"stages": list(stages), "read_at": opened.now})


class MemoryReconciliations:
    """See `Reconciliations`; the twin of `ReconciliationStore`."""

    def __init__(self, session: Session, accounts: Iterable[AccountId]) -> None:
        self._session = session
        self._accounts = sorted(accounts)

    async def claim(self, lease: timedelta) -> Claim | None:
        """See `Reconciliations.claim`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim an account")
            for account in self._accounts:
                if opened.get("reconciliation", account) is None:
                    fresh = {"account": account, "mark": None, "longest": None, "due_at": opened.now}
                    rest = {"lease_until": None, "tries": 0, "cause": "", "completed_at": None, "read_count": 0}
                    await opened.insert("reconciliation", account, fresh | rest)
            for account, row in sorted(opened.rows("reconciliation"), key=lambda item: item[1]["due_at"]):
                due = row["due_at"] <= opened.now and is_free(row["lease_until"], opened.now)
                if due and opened.free("reconciliation", account):
                    opened.grab("reconciliation", account)
                    fence = opened.now + lease
                    opened.put("reconciliation", account, row | {"lease_until": fence})
                    return Claim(
                        account=account,
                        mark=row["mark"],
                        now=opened.now,
                        longest=row["longest"],
                        tries=row["tries"],
                        fence=fence,
                    )
            return None

    async def tell(self, claim: Claim, facts: Sequence[Envelope], lease: timedelta) -> Claim:
        """See `Reconciliations.tell`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("tell what was found")
            row = await self._held(opened, claim)
            fence = opened.now + lease
            count = row["read_count"] + len(facts)
            opened.put("reconciliation", claim.account, row | {"lease_until": fence, "read_count": count})
            await self._session.put_out(connection, facts)
        return replace(claim, fence=fence)

    async def advance(self, claim: Claim, mark: datetime, *, wait: timedelta | None) -> None:
        """See `Reconciliations.advance`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("advance the mark")
            row = await self._held(opened, claim)
            if row["mark"] != claim.mark:
                raise ConflictError("the mark was set back (simulated)")
            moved = {"mark": mark, "longest": None, "tries": 0, "cause": "", "lease_until": None}
            moved["due_at"] = opened.now + (wait or timedelta())
            if wait is not None:
                moved["completed_at"] = opened.now
            opened.put("reconciliation", claim.account, row | moved)

    async def postpone(self, claim: Claim, reason: str, wait: timedelta, longest: timedelta | None) -> None:
        """See `Reconciliations.postpone`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("postpone an account")
            try:
                row = await self._held(opened, claim)
            except ConflictError:
                return
            later = {"due_at": opened.now + wait, "lease_until": None, "longest": longest}
            told = {"tries": row["tries"] + 1, "cause": reason}
            opened.put("reconciliation", claim.account, row | later | told)

    async def set_back(self, account: AccountId, since: datetime) -> bool:
        """See `Reconciliations.set_back`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("set a mark back")
            row = await opened.lock("reconciliation", account)
            if row is None or row["mark"] is None or row["mark"] <= since:
                return False
            back = {"mark": since, "due_at": opened.now, "lease_until": None, "cause": ""}
            opened.put("reconciliation", account, row | back)
            return True

    async def hurry(self, account: AccountId) -> None:
        """See `Reconciliations.hurry`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("hurry an account")
            row = await opened.lock("reconciliation", account)
            if row is not None:
                opened.put("reconciliation", account, row | {"due_at": min(row["due_at"], opened.now)})

    async def progress(self, account: AccountId | None = None) -> Sequence[Progress]:
        """See `Reconciliations.progress`."""
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("progress")
            return [
                Progress(**{name: row[name] for name in Progress.__dataclass_fields__})
                for known, row in sorted(opened.rows("reconciliation"))
                if account in (None, known)
            ]

    async def _held(self, opened: Transaction, claim: Claim) -> Row:
        row = await opened.lock("reconciliation", claim.account)
        if row is None or row["lease_until"] != claim.fence:
            raise ConflictError("another replica reconciles this account (simulated)")
        return row


class MemoryCandidates:
    """See `Anonymizations`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def notes_anonymized_at(
        self, account: AccountId, candidates: Sequence[CandidateId]
    ) -> Mapping[CandidateId, datetime]:
        """See `Anonymizations.notes_anonymized_at`."""
        if not candidates:
            return {}
        found: dict[CandidateId, datetime] = {}
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("notes anonymized")
            for asked in candidates:
                present: CandidateId | None = asked
                for _ in range(_MOST_MERGES):
                    row = opened.get("anonymized", (account, present))
                    if row is not None and (not row["fields"] or row["fields"] & _WITH_NOTES):
                        found[asked] = max(row["at"], found.get(asked, row["at"]))
                    merged = opened.get("merged", (account, present))
                    if merged is None:
                        break
                    present = merged["into"]
        return found


def _due_at(item: tuple[UUID, Row]) -> datetime:
    due_at: datetime = item[1]["due_at"]
    return due_at
