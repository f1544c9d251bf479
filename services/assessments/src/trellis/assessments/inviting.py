"""The invite as an effect of the ledger: whom, whether, once, and whether it happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from trellis.assessments.adapters.coderbyte import TOTAL_SECONDS, CredentialError, Organization
from trellis.assessments.adapters.gatekeeper import Gatekeeper
from trellis.assessments.adapters.invite_rows import NewInvite
from trellis.assessments.baseline import Baseline
from trellis.assessments.domain import correlation
from trellis.assessments.domain.correlation import Precedence
from trellis.assessments.domain.invites import (
    Assessment,
    Invitable,
    InviteRequest,
    choose,
    classify,
    doubt_remedy,
    judge_look_up,
    to_request,
)
from trellis.assessments.domain.options import Reinvite
from trellis.assessments.erasing import WITHDRAWN
from trellis.assessments.following import Following
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.results import ResultPublisher
from trellis.assessments.rows import Person, command_of, new_invite, still_known
from trellis.assessments.stores import Organizations
from trellis.common.contracts.commands import BY_HAND, Action, SendInvite
from trellis.common.contracts.identifiers import AccountId, CommandId
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.ledger.effects import (
    Answer,
    Blocked,
    CannotTell,
    Intent,
    Later,
    LookUp,
    NotExecuted,
    Overtaken,
    Preparation,
    Ready,
    Settled,
    Unauthorized,
)
from trellis.common.ledger.epoch import DOUBTED
from trellis.common.ledger.runner import READING_SECONDS
from trellis.common.ledger.store import LedgerStore
from trellis.common.runtime.clock import Clock
from trellis.common.runtime.keyring import Keyring
from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection

PREPARE_SECONDS: Final = 5.0
"""How long after the application's reading the budget for reads is waited for; the rest of P4's ten is the invite's."""
RESERVE_SECONDS: Final = 8.5
"""Likewise for the invite itself, counted from the claim."""
WAIT_FOR_SHARED: Final = timedelta(minutes=10)
"""How often an invite that waits for another's result is looked at; the result itself settles it at once."""
NO_CONNECTION: Final = Later(
    reason="the account has no Coderbyte connection; connect it with `trellis apply`", wait=timedelta(seconds=60)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A request with the connection it goes over; in memory only."""

    organization: Organization = field(repr=False)
    request: InviteRequest = field(repr=False)


class InviteEffect:
    """Sends invites; see `Effect` for what each method promises."""

    action = Action.INVITE
    vendor = VENDOR

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        gateway: Gateway,
        gatekeeper: Gatekeeper,
        connections: Organizations,
        publisher: ResultPublisher,
        keyring: Keyring,
        clock: Clock,
        *,
        request_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.request_seconds = request_seconds + 2.0  # with what the loop needs to end it
        self._database = database
        self._ledger = ledger
        self._gateway = gateway
        self._gatekeeper = gatekeeper
        self._connections = connections
        self._publisher = publisher
        self._invites = publisher.invites
        self._keyring = keyring
        self._clock = clock
        self._baseline = Baseline(gateway, keyring)
        self._following = Following(database=database, ledger=ledger, publisher=publisher, clock=clock)

    # -- before

    async def prepare(self, account: AccountId, intents: Sequence[Intent]) -> Mapping[CommandId, Preparation]:
        """Ask who may be invited, then what Coderbyte shows of them; see `Effect.prepare`."""
        organization = await self._connections.load(account)
        if organization is None:
            return dict.fromkeys((intent.id for intent in intents), NO_CONNECTION)
        clearance = await self._gatekeeper.clear(account, intents)
        prepared: dict[CommandId, Preparation] = {}
        work = []
        for intent in intents:
            verdict = clearance.verdicts[intent.id]
            if isinstance(verdict, Invitable):
                work.append((intent, verdict))
            else:
                prepared[intent.id] = verdict
        found = await asyncio.gather(
            *(self._prepare_one(organization, intent, whom, clearance.read_at) for intent, whom in work),
            return_exceptions=True,
        )
        for (intent, _), preparation in zip(work, found, strict=True):
            if isinstance(preparation, BaseException):
                raise preparation
            prepared[intent.id] = preparation
        return prepared

    async def _prepare_one(
        self, organization: Organization, intent: Intent, whom: Invitable, read_at: float
    ) -> Preparation:
        try:
            return await self._weigh(organization, intent, whom, read_at)
        except CredentialError as error:
            return Unauthorized(reason=str(error), remedy=error.remedy)
        except StoreAwayError:
            raise
        except TransientError as error:
            return Later(reason=str(error), wait=error.retry_after or timedelta(seconds=5))

    async def _weigh(self, organization: Organization, intent: Intent, whom: Invitable, read_at: float) -> Preparation:
        command, until = command_of(intent), read_at + PREPARE_SECONDS
        async with self._database.acquired() as connection:
            now = await self._database.now(connection)
            person = self._person(intent, whom, now, read_at)
            if await self._invites.is_erased(connection, intent.account, person.candidate_id, person.seen_at):
                return Overtaken(reason=WITHDRAWN)
            stored = await self._invites.find(connection, intent.account, intent.id)
            precedence = await self._precedence(connection, organization, intent, person.address_hash)
        hashed = person.address_hash
        doubted = stored is not None and stored.doubted
        insists = doubted and intent.attempt > 0  # else it is a restore that doubts it, and others stand as ever
        if not insists and (taken := await self._following.reuse(organization, intent, person)):
            return taken
        if not isinstance(precedence, correlation.Go) and not insists:
            return await self._stand_back(intent, person, precedence)
        chosen = await self._choose(organization, command, until)
        if isinstance(chosen, Blocked):
            return chosen
        known, read_now = still_known(stored, hashed, now), False
        if not self._gateway.takes_writes(organization):
            known = None
        if known is None:
            shown, read_now = (
                await self._baseline.read(organization, whom.address, command.assessment_id, until=until),
                True,
            )
            known = shown.hashes
            if stored is not None and doubted and stored.address_hash == hashed:
                if shown.beyond(stored.known_attempts):
                    return Settled(reason="Coderbyte shows the invite that had no answer")
                known = stored.known_attempts
        request = to_request(whom.address, chosen, intent.application_id, organization.options, read_at=read_at)
        new = replace(
            new_invite(intent, person, poll_after=organization.options.poll_interval),
            known_attempts=known,
            read_at=None if read_now or stored is None else stored.read_at,
            ready_token=intent.lease_token,
        )
        return await self._make_ready(organization, intent, person, new, request, insist=insists)

    def _person(self, intent: Intent, whom: Invitable, now: datetime, read_at: float) -> Person:
        """Return whom Greenhouse showed at *read_at*, a monotonic time; *now* is the database's."""
        return Person(
            candidate_id=whom.candidate_id,
            address=whom.address,
            address_hash=self._keyring.address_hash(intent.account, whom.address),
            seen_at=now - timedelta(seconds=max(0.0, time.monotonic() - read_at)),
        )

    async def _choose(self, organization: Organization, command: SendInvite, until: float) -> Assessment | Blocked:
        chosen = choose(await self._gateway.assessments(organization, until=until), command.assessment_id)
        if isinstance(chosen, Blocked):  # what is remembered may be out of date
            listing = await self._gateway.assessments(organization, until=until, fresh=True)
            chosen = choose(listing, command.assessment_id)
        return chosen

    async def _precedence(
        self, connection: Connection, organization: Organization, intent: Intent, hashed: str
    ) -> Precedence:
        command = command_of(intent)
        assessment = command.assessment_id
        by_hand = command.origin.workflow == BY_HAND  # an earlier visit's invite was seen by the person who asks
        return correlation.precedence(
            intent.id,
            intent.application_id,
            earlier=await self._invites.of_application(connection, intent.account, intent.application_id, assessment),
            of_person=await self._invites.of_person(connection, intent.account, hashed, assessment),
            reinvite=Reinvite.ALWAYS if by_hand else organization.options.reinvite,
            on_collision=organization.options.on_collision,
        )

    async def _make_ready(
        self,
        organization: Organization,
        intent: Intent,
        person: Person,
        new: NewInvite,
        request: InviteRequest,
        *,
        insist: bool,
    ) -> Preparation:
        """Commit what the invite will be known by, unless another of this person was made ready meanwhile.

        With *insist* no other stands in the way: a person ordered an invite again that may be out already.
        """
        async with self._database.transaction() as connection:
            await self._invites.lock_rivals(connection, intent.account, intent.application_id, new.address_hash)
            if not await self._invites.is_held(connection, intent.account, intent.id, intent.lease_token):
                return Later(reason="another worker has taken this over", wait=timedelta(seconds=1))
            precedence = await self._precedence(connection, organization, intent, new.address_hash)
            if isinstance(precedence, correlation.Go) or insist:
                if not await self._invites.prepare(connection, new):
                    return Overtaken(reason=WITHDRAWN)
                if new.read_at is None:  # Coderbyte was read just now, so it takes the credential
                    await self._ledger.unpause(connection, intent.account, VENDOR)
                return Ready(request=_Bound(organization=organization, request=request), read_at=request.read_at)
        return await self._stand_back(intent, person, precedence)

    async def _stand_back(self, intent: Intent, person: Person, precedence: Precedence) -> Preparation:
        match precedence:
            case correlation.InvitedBefore(earlier=earlier, reason=reason):
                await self._following.use_earlier(intent, person, earlier)
                return Overtaken(reason=f"{reason} (visit {earlier.visit})")
            case correlation.WaitsFor(rival=rival):
                if not await self._following.follow(intent, person, rival.command_id, "shared"):
                    return Overtaken(reason=WITHDRAWN)
                reason = (
                    f"the same person has an open invite to this assessment for application {rival.application_id}; "
                    "its result will stand for both"
                )
                return Later(reason=reason, wait=WAIT_FOR_SHARED)
            case correlation.Collides(rival=rival):
                return Blocked(
                    reason=f"the same person has an open invite to this assessment for application {rival.application_id}",
                    remedy="send it again when that one is done, or drop it",
                )
            case correlation.Leaving() | correlation.Go():
                return Later(reason="another invite of this application is just leaving", wait=timedelta(seconds=2))

    # -- the request

    async def reserve(self, intent: Intent) -> timedelta | None:
        """Take the invite's own call from the budget; see `Effect.reserve`."""
        organization = await self._connections.load(intent.account)
        if organization is None:
            return NO_CONNECTION.wait
        return await self._gateway.spend(organization, until=intent.claimed + RESERVE_SECONDS)

    async def send(self, intent: Intent, request: object) -> Answer:
        """Make the one request; see `Effect.send`."""
        if not isinstance(request, _Bound):
            return NotExecuted(reason="there is no request to send")
        before = request.request.read_at + READING_SECONDS
        seen = await self._gateway.invite(request.organization, request.request, before=before)
        return classify(seen, request.request.address, self._clock.now(), mailed=not request.request.skip_send)

    async def remember(self, connection: Connection, intent: Intent, private: bytes) -> None:
        """Keep the private link in the transaction that records the outcome."""
        await self._invites.remember_link(connection, intent.account, intent.id, private)

    # -- afterwards

    async def look_up(self, intent: Intent) -> LookUp:
        """Read whether the person's attempts or list show the invite; see `Effect.look_up`."""
        organization = await self._connections.load(intent.account)
        if organization is None:
            return NO_CONNECTION
        soon = timedelta(seconds=organization.options.poll_schedule[0])
        async with self._database.transaction() as connection:
            await self._invites.doubt(connection, intent.account, intent.id, soon)
            stored = await self._invites.find(connection, intent.account, intent.id)
            address = None if stored is None else await self._invites.address(connection, stored)
        if stored is None:
            return await self._look_up_restored(organization, intent)
        if address is None:
            return Overtaken(reason=WITHDRAWN)
        try:
            shown = await self._baseline.read(
                organization, address, stored.assessment_id, until=intent.claimed + PREPARE_SECONDS
            )
        except CredentialError as error:
            return Unauthorized(reason=str(error), remedy=error.remedy)
        if stored.ready_token is None and stored.known_attempts and not shown.beyond(stored.known_attempts):
            return _shown_before(organization)  # that look was not recorded, or a person's order makes another one
        is_shown = shown.beyond(stored.known_attempts)
        if not is_shown and intent.cause == DOUBTED:  # since the backup it may have left for another address
            return await self._look_up_restored(organization, intent)
        return judge_look_up(
            shows=is_shown,
            listing_read=True,
            retries=intent.retries,
            options=organization.options,
        )

    async def _look_up_restored(self, organization: Organization, intent: Intent) -> LookUp:
        """Read whether an invite of which a restored database knows nothing may have left before.

        Whatever Coderbyte shows of the person may come of it, or of an earlier one: nobody can tell. It is kept as
        what was known, so that whatever comes later settles the invite by itself.
        """
        clearance = await self._gatekeeper.clear(intent.account, [intent])
        whom = clearance.verdicts[intent.id]
        if not isinstance(whom, Invitable):
            return whom
        try:
            shown = await self._baseline.read(
                organization,
                whom.address,
                command_of(intent).assessment_id,
                until=clearance.read_at + PREPARE_SECONDS,
            )
        except CredentialError as error:
            return Unauthorized(reason=str(error), remedy=error.remedy)
        async with self._database.transaction() as connection:
            if not await self._invites.is_held(connection, intent.account, intent.id, intent.lease_token):
                return Later(reason="another worker has taken this over", wait=timedelta(seconds=1))
            person = self._person(intent, whom, await self._database.now(connection), clearance.read_at)
            row = new_invite(intent, person, poll_after=organization.options.poll_interval)
            if not await self._invites.prepare(connection, replace(row, known_attempts=shown.hashes)):
                return Overtaken(reason=WITHDRAWN)
            await self._invites.doubt(
                connection, intent.account, intent.id, timedelta(seconds=organization.options.poll_schedule[0])
            )
        if shown.hashes:
            return _shown_before(organization)
        return judge_look_up(shows=False, listing_read=True, retries=intent.retries, options=organization.options)

    # -- what the account set

    async def cap(self, account: AccountId) -> int | None:
        """Return `cap.invites_per_hour`."""
        organization = await self._connections.load(account)
        return None if organization is None else organization.options.invites_per_hour

    async def second_read(self, account: AccountId) -> timedelta:
        """Return `lookup.second_read_s`."""
        organization = await self._connections.load(account)
        return timedelta(seconds=30) if organization is None else organization.options.second_read

    async def credential_retry(self, account: AccountId) -> timedelta:
        """Return `credential.retry_s`."""
        organization = await self._connections.load(account)
        return timedelta(seconds=60) if organization is None else organization.options.credential_retry


def _shown_before(organization: Organization) -> CannotTell:
    """Return what is said after a restore of an invite whose person Coderbyte showed already at the first look."""
    return CannotTell(
        reason="the database was restored, and Coderbyte shows this person at this assessment: from this invite or "
        "from an earlier one",
        remedy=doubt_remedy(organization.options),
    )
