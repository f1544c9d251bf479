"""The internal HTTP API of the workflow service: definitions, stories. Bound to one account a route."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from trellis.common.contracts.envelope import explain
from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import StoreAwayError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.workflow.adapters import definition_store, event_store
from trellis.workflow.adapters.definition_store import Definitions
from trellis.workflow.domain import events as e
from trellis.workflow.redeciding import redecide
from trellis.workflow.story import steps_of

_DOCUMENTS = TypeAdapter(list[WorkflowDocument])


def internal_app(pool: Pool, keyring: Keyring) -> web.Application:
    """Return the application that serves the internal API."""
    api = _Api(pool)
    app = web.Application(middlewares=[guard(keyring, "workflow"), _store_away])
    base = "/internal/v1/accounts/{account}"
    app.router.add_put(f"{base}/workflows", api.put_workflows)
    app.router.add_get(f"{base}/workflows", api.get_workflows)
    app.router.add_get(f"{base}/applications", api.list_applications)
    app.router.add_get(f"{base}/applications/{{application}}/story", api.story)
    app.router.add_get(f"{base}/applications/{{application}}/redecide", api.redecide)
    app.router.add_get("/internal/v1/applications/{application}/accounts", api.accounts_of)
    app.router.add_get("/internal/v1/accounts", api.accounts)
    return app


@web.middleware
async def _store_away(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except StoreAwayError as error:
        return web.json_response({"error": str(error)}, status=503)


def _account(request: web.Request) -> AccountId:
    return AccountId(request.match_info["account"])


def _application(request: web.Request) -> ApplicationId:
    text = request.match_info["application"]
    if not text.isdigit() or len(text) > 18:
        raise web.HTTPUnprocessableEntity(
            text=json.dumps({"error": "no application id", "field": "application", "expected": "digits"}),
            content_type="application/json",
        )
    return ApplicationId(int(text))


class _RollBack(Exception):
    """Leaves a dry run's transaction without committing it."""


class _Api:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put_workflows(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            documents = _DOCUMENTS.validate_python(body["workflows"])
        except ValidationError as error:
            return web.json_response(
                {"error": "the workflows do not fit", "field": "workflows", "expected": explain(error)}, status=422
            )
        except (ValueError, KeyError, TypeError):
            return web.json_response(
                {"error": "no JSON object with workflows", "field": "workflows", "expected": "a list"}, status=400
            )
        names = [document.name for document in documents]
        if len(set(names)) != len(names):
            return web.json_response(
                {"error": "a name twice", "field": "workflows", "expected": "each workflow's name once"}, status=422
            )
        settings = body.get("settings") or {}
        changes: list[str] = []
        try:
            async with transaction(self._pool) as connection:
                changes = await definition_store.put_definitions(connection, _account(request), documents, settings)
                if body.get("dry_run"):
                    raise _RollBack
        except _RollBack:
            pass
        return web.json_response({"changes": changes})

    async def get_workflows(self, request: web.Request) -> web.Response:
        async with acquired(self._pool) as connection:
            live = await definition_store.live_definitions(connection, _account(request))
        return web.json_response(
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
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select application_id, candidate_id, job_id, stage_id, stage_name, status, visit, deleted, updated_at "
                "from application where account_id = $1 order by updated_at desc, application_id limit 200",
                _account(request),
            )
        return web.json_response([{**dict(row), "updated_at": row["updated_at"].isoformat()} for row in rows])

    async def story(self, request: web.Request) -> web.Response:
        account, application = _account(request), _application(request)
        async with acquired(self._pool) as connection:
            log = await event_store.history(connection, account, application)
        if not log:
            return web.json_response({"error": f"nothing is known of application {application}"}, status=404)
        return web.json_response({"account": account, "application": application, "steps": steps_of(log)})

    async def redecide(self, request: web.Request) -> web.Response:
        account, application = _account(request), _application(request)
        async with acquired(self._pool) as connection:
            log = await event_store.history(connection, account, application)
            pins = {
                (account, name, version)
                for item in log
                if isinstance(item.event, e.StageEntered)
                for name, version in item.event.pins.items()
            }
            workflows = await Definitions().workflows(connection, [account], pins)
        differences = redecide(account, application, log, workflows[account].versions)
        return web.json_response(
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
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select account_id from application where application_id = $1 order by 1", _application(request)
            )
        return web.json_response([row["account_id"] for row in rows])

    async def accounts(self, _request: web.Request) -> web.Response:
        async with acquired(self._pool) as connection:
            rows = await connection.fetch("select account_id from account order by 1")
        return web.json_response([row["account_id"] for row in rows])
