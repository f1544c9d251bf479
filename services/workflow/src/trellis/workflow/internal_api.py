"""The internal HTTP API of the workflow service: definitions, stories. Bound to one account a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import AwareDatetime, Field

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationStatus, EntryAccepted, InviteOrdered, Order
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, Visit
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import InputError
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.http import (
    ACCOUNT_PREFIX,
    MOST_BODY_BYTES,
    Body,
    account_of,
    answer,
    application_of,
    body_of,
    faults,
    parsed_as,
    tenancy,
)
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store import outbox
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.workflow.adapters import definition_store, event_store
from trellis.workflow.adapters.definition_store import Definitions
from trellis.workflow.domain import events as e
from trellis.workflow.handler import SOURCE
from trellis.workflow.redeciding import redecide
from trellis.workflow.story import steps_of


def internal_app(pool: Pool, keyring: Keyring, wake: Callable[[], None]) -> web.Application:
    """Return the application that serves the internal API; *wake* is called when something is to be published."""
    api = _Api(pool, wake)
    app = web.Application(middlewares=[guard(keyring, "workflow"), faults, tenancy], client_max_size=MOST_BODY_BYTES)
    base = ACCOUNT_PREFIX
    app.router.add_put(f"{base}/workflows", api.put_workflows)
    app.router.add_get(f"{base}/workflows", api.get_workflows)
    app.router.add_get(f"{base}/applications", api.list_applications)
    app.router.add_get(f"{base}/offers", api.offers)
    app.router.add_post(f"{base}/offers/{{application}}/accept", api.accept)
    app.router.add_post(f"{base}/applications/{{application}}/orders", api.order)
    app.router.add_get(f"{base}/applications/{{application}}/story", api.story)
    app.router.add_get(f"{base}/applications/{{application}}/redecide", api.redecide)
    app.router.add_get("/internal/v1/applications/{application}/accounts", api.accounts_of)
    app.router.add_get("/internal/v1/accounts", api.accounts)
    app.router.add_post("/internal/v1/outbox/again", api.send_again)
    return app


class _Workflows(Body):
    workflows: list[WorkflowDocument]
    settings: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = False


class _Order(Body):
    order: Order
    assessment_id: str | None = Field(default=None, min_length=1, max_length=200)
    signal_id: UUID | None = None


class _Since(Body):
    since: AwareDatetime


class _RollBack(Exception):
    """Leaves a dry run's transaction without committing it."""


class _Api:
    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def put_workflows(self, request: web.Request) -> web.Response:
        """Make the account's workflows what the body states; say what changed. What is not named is retired."""
        wanted = parsed_as(_Workflows, await body_of(request))
        names = [document.name for document in wanted.workflows]
        if len(set(names)) != len(names):
            raise InputError("workflows", "each workflow's name once")
        account = account_of(request)
        changes: list[str] = []
        try:
            async with transaction(self._pool) as connection:
                changes = await definition_store.put_definitions(connection, account, wanted.workflows, wanted.settings)
                if wanted.dry_run:
                    raise _RollBack
        except _RollBack:
            pass
        return answer({"changes": changes})

    async def send_again(self, request: web.Request) -> web.Response:
        """Send once more what was sent since a time: after a restore some of it is known to nobody. Repeats are dropped."""
        said = parsed_as(_Since, await body_of(request))
        async with transaction(self._pool) as connection:
            count = await outbox.send_again(connection, said.since)
        self._wake()
        return answer({"count": count})

    async def get_workflows(self, request: web.Request) -> web.Response:
        """List the live workflows with their versions and documents."""
        async with acquired(self._pool) as connection:
            live = await definition_store.live_definitions(connection, account_of(request))
        return answer(
            [
                {
                    "name": item.name,
                    "version": item.version,
                    "document": item.document.model_dump(mode="json", by_alias=True, exclude_none=True),
                }
                for item in live
            ]
        )

    async def list_applications(self, request: web.Request) -> web.Response:
        """List the 200 applications that changed last, the newest first."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select application_id, candidate_id, job_id, stage_id, stage_name, status, visit, deleted, updated_at "
                "from application where account_id = $1 order by updated_at desc, application_id limit 200",
                account_of(request),
            )
        return answer([dict(row) for row in rows])

    async def offers(self, request: web.Request) -> web.Response:
        """List the entries that no webhook told of in time and that wait for a person's yes, the oldest first."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select application_id, candidate_id, job_id, stage_id, stage_name, offered as visit, updated_at as since "
                "from application where account_id = $1 and offered is not null order by updated_at, application_id",
                account_of(request),
            )
        return answer([dict(row) for row in rows])

    async def accept(self, request: web.Request) -> web.Response:
        """Publish a person's yes to an offered entry; of two the second finds it taken."""
        account, application = account_of(request), application_of(request.match_info["application"])
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(
                "select offered, status from application where account_id = $1 and application_id = $2",
                account,
                application,
            )
            if row is None or row["offered"] is None:
                said = f"no entry of application {application} waits for a yes"
                remedy = "`trellis offers list` shows those that do, `trellis why` what became of this one"
                return web.json_response({"error": said, "remedy": remedy}, status=404)
            if row["status"] != ApplicationStatus.ACTIVE:
                said = f"application {application} is {row['status']}: nothing is sent to it"
                remedy = "its entry stays offered; say yes when Greenhouse shows it active again"
                return web.json_response({"error": said, "remedy": remedy}, status=409)
            visit = Visit(row["offered"])
            await outbox.put(connection, [acceptance(account, application, visit)])
        self._wake()
        return answer({"application_id": application, "visit": visit, "accepted": True}, status=202)

    async def order(self, request: web.Request) -> web.Response:
        """Publish a person's order about an application's invite; what comes of it is told by its story."""
        account, application = account_of(request), application_of(request.match_info["application"])
        body = parsed_as(_Order, await body_of(request))
        if (body.order is Order.ATTACH) != (body.signal_id is not None):
            raise InputError("signal_id", "the unmatched result to attach, and nothing with another order")
        async with transaction(self._pool) as connection:
            visit = await connection.fetchval(
                "select visit from application where account_id = $1 and application_id = $2", account, application
            )
            if visit is None:
                said = f"application {application} is not known, or in no stage"
                return web.json_response({"error": said, "remedy": "look whether the id is right"}, status=404)
            assessment = None if body.assessment_id is None else AssessmentId(body.assessment_id)
            envelope = ordered(account, application, Visit(visit), body.order, assessment, body.signal_id)
            await outbox.put(connection, [envelope])
        self._wake()
        return answer({"order_id": str(envelope.id), "visit": visit}, status=202)

    async def story(self, request: web.Request) -> web.Response:
        """Tell the story of one application: facts, decisions and commands, in the order of the log."""
        account, application = account_of(request), application_of(request.match_info["application"])
        async with acquired(self._pool) as connection:
            log = await event_store.history(connection, account, application)
        if not log:
            return answer({"error": f"nothing is known of application {application}"}, status=404)
        return answer({"account": account, "application": application, "steps": steps_of(log)})

    async def redecide(self, request: web.Request) -> web.Response:
        """Decide one application's log again and tell where that differs from what was recorded."""
        account, application = account_of(request), application_of(request.match_info["application"])
        async with acquired(self._pool) as connection:
            log = await event_store.history(connection, account, application)
            pins = {
                (account, name, version)
                for item in log
                if isinstance(item.event, e.PINNING)
                for name, version in item.event.pins.items()
            }
            workflows = await Definitions().workflows(connection, [account], pins)
        differences = redecide(account, application, log, workflows[account].versions)
        return answer(
            {
                "decisions": len({item.message_id for item in log}),
                "differences": [
                    {
                        "version": item.version,
                        "recorded": [type(event).__name__ for event in item.recorded],
                        "decided": [type(event).__name__ for event in item.decided],
                    }
                    for item in differences
                ],
            }
        )

    async def accounts_of(self, request: web.Request) -> web.Response:
        """List the accounts that know an application of this id."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select account_id from application where application_id = $1 order by 1",
                application_of(request.match_info["application"]),
            )
        return answer([row["account_id"] for row in rows])

    async def accounts(self, _request: web.Request) -> web.Response:
        """List the accounts to which workflows were applied."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch("select account_id from account order by 1")
        return answer([row["account_id"] for row in rows])


def acceptance(account: AccountId, application: ApplicationId, visit: Visit) -> Envelope:
    """Return a person's yes to an offered entry: a new one each time, since an earlier one may have been refused."""
    ident = uuid7()
    return Envelope(
        id=ident,
        source=SOURCE,
        accountid=account,
        time=utc_now(),
        data=EntryAccepted(application_id=application, visit=visit),
        correlationid=str(ident),
        subject=f"application/{application}",
    )


def ordered(
    account: AccountId,
    application: ApplicationId,
    visit: Visit,
    order: Order,
    assessment: AssessmentId | None = None,
    signal: UUID | None = None,
) -> Envelope:
    """Return a person's order about a stage visit: a new one each time, since an earlier one may have been refused."""
    ident = uuid7()
    return Envelope(
        id=ident,
        source=SOURCE,
        accountid=account,
        time=utc_now(),
        data=InviteOrdered(
            order_id=ident,
            application_id=application,
            visit=visit,
            order=order,
            assessment_id=assessment,
            signal_id=signal,
        ),
        correlationid=str(ident),
        subject=f"application/{application}",
    )
