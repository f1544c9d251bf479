"""A victim who has something in every table of every service, and an intruder who has nothing of it."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from aiohttp import web
from aiohttp.test_utils import TestClient
from tests.fakes.histories import DOCUMENT
from tests.integration.tenants.filling import insert, without_other_constraints
from tests.integration.tenants.installation import Installation, Running

from trellis.common.bus.consumer import Consumer
from trellis.common.contracts import facts as f
from trellis.common.contracts.commands import Action, AddNote, MoveApplication, ObserveApplication, Origin, SendInvite
from trellis.common.contracts.envelope import Envelope, Message
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
)
from trellis.common.runtime import tokens
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.postgres import transaction

VICTIM, INTRUDER = AccountId("victim"), AccountId("intruder")
MARK = "only-the-victim-knows"
"""Stands in everything of the victim's that an answer could tell."""
APPLICATION, CANDIDATE, JOB, STAGE, NEXT = 7001, 8001, 31, 41, 42
OFFERED = 7002
TEST = "shared-assessment"
VISIT = "n1"
ADDRESS = "mia@example.com"
STAGE_NAME = f"Coding Assessment {MARK}"
COMMANDS = {
    action: command_id(VICTIM, ApplicationId(APPLICATION), Visit(VISIT), action.value, "0") for action in Action
}

LETTER = uuid4()
"""The victim's message that could not be handled, in every service."""
SINCE = "2026-01-01T00:00:00Z"
BODIES: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("PUT", "/internal/v1/accounts/{account}"): [{"greenhouse": {}, "custom_fields": ["x"]}],
    ("POST", "/internal/v1/accounts/{account}/keys/rotate"): [{}],
    ("PUT", "/internal/v1/accounts/{account}/workflows"): [{"workflows": [DOCUMENT]}, {"workflows": []}],
    ("POST", "/internal/v1/accounts/{account}/offers/{application}/accept"): [{}],
    ("POST", "/internal/v1/accounts/{account}/applications/{application}/orders"): [
        {"order": "attach", "signal_id": str(uuid4()), "assessment_id": TEST},
        {"order": "withdraw"},
    ],
    ("POST", "/internal/v1/accounts/{account}/intents/{id}/{order}"): [{"by": "x", "reason": "y"}],
    ("POST", "/internal/v1/accounts/{account}/dead-letters/{id}/{order}"): [{"by": "x", "reason": "y"}],
    ("PUT", "/internal/v1/accounts/{account}/brakes"): [{"scope": "account"}, {"scope": "workflow", "name": "w"}],
    ("DELETE", "/internal/v1/accounts/{account}/brakes"): [{"scope": "account"}, {"scope": "workflow", "name": "w"}],
    ("POST", "/internal/v1/accounts/{account}/candidates-for-invite"): [
        {"applications": [{"application_id": APPLICATION, "stage_id": STAGE, "visit": VISIT}]}
    ],
    ("POST", "/internal/v1/accounts/{account}/erasures/replay"): [
        {"erasures": [{"candidate": CANDIDATE, "why": "by_hand", "when": SINCE}]}
    ],
    ("POST", "/internal/v1/accounts/{account}/reconciliation"): [{"since": SINCE}],
    ("PUT", "/internal/v1/accounts/{account}/connection"): [
        {"api_version": "v3", "client_id": "c", "client_secret": "s", "base_url": "http://127.0.0.1:1"},
        {"organization_id": "o", "api_key": "k", "base_url": "http://127.0.0.1:1", "dry_run": True},  # else it is tried
        {
            "organization_id": MARK,
            "api_key": "k",
            "base_url": "http://127.0.0.1:1",
            "settings": {"rate.max_per_second": 3},
        },
    ],
}
"""What a route that writes takes; where two services have the same path each takes its own."""


# -- what the victim has


def origin() -> Origin:
    return Origin(workflow="engineering", version=1, rule="send-test", reason=MARK)


def envelope(data: Any, account: AccountId = VICTIM) -> Envelope:
    return Envelope(
        id=uuid4(),
        source="trellis/test",
        accountid=account,
        time=datetime.now(UTC),
        data=typing.cast(Message, data),
        correlationid="c",
    )


def snapshot(application: int = APPLICATION) -> f.ApplicationSnapshot:
    return f.ApplicationSnapshot(
        application_id=ApplicationId(application),
        candidate_id=CandidateId(CANDIDATE),
        job_id=JobId(JOB),
        stage=f.Stage(id=StageId(STAGE), name=STAGE_NAME),
        status=f.ApplicationStatus.ACTIVE,
        last_activity_at=datetime.now(UTC) - timedelta(days=1),
    )


def commands() -> Iterator[Any]:
    common: dict[str, Any] = {
        "application_id": ApplicationId(APPLICATION),
        "candidate_id": CandidateId(CANDIDATE),
        "job_id": JobId(JOB),
        "visit": Visit(VISIT),
        "origin": origin(),
    }
    stage = StageId(STAGE)
    yield SendInvite(command_id=COMMANDS[Action.INVITE], stage_id=stage, assessment_id=AssessmentId(TEST), **common)
    yield AddNote(command_id=COMMANDS[Action.NOTE], stage_id=stage, text=MARK, **common)
    yield MoveApplication(command_id=COMMANDS[Action.MOVE], from_stage_id=stage, **common)
    yield ObserveApplication(
        command_id=COMMANDS[Action.OBSERVE], application_id=ApplicationId(APPLICATION), reason="order"
    )


@dataclasses.dataclass
class Walk:
    """The installation with a victim who has something in every table, and an intruder who has nothing of it."""

    installation: Installation
    clients: dict[str, TestClient[Any, Any]]
    body_id: UUID = dataclasses.field(default_factory=uuid4)
    unreadable_id: UUID = dataclasses.field(default_factory=uuid4)
    endpoints: dict[tuple[AccountId, str], tuple[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def address_hash(self) -> str:
        return self.installation.keyring.address_hash(VICTIM, ADDRESS)

    async def call(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        token = tokens.issue(self.installation.keyring, caller="assessments", audience=service)
        async with self.clients[service].request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            return answer.status, await answer.text()

    async def everything_of(self, account: AccountId) -> dict[str, list[str]]:
        """Return every row that bears *account*, as text, table by table; and of `endpoint_hour` all."""
        found = {}
        for running in self.installation.services.values():
            for table, columns in (await self.installation.tables(running.service.schema)).items():
                name = f"{running.service.schema}.{table}"
                bound = "where account_id = $1" if "account_id" in columns else "where $1 = $1"
                rows = await self.installation.eyes.fetch(f"select t::text from {name} t {bound} order by 1", account)
                found[name] = [row[0] for row in rows]
        return found

    async def take(self, running: Running, message: Envelope) -> None:
        consumer = next(item for item in running.parts.consumers if isinstance(item, Consumer))
        await consumer._handle_held([message])

    def takers(self, routing_key: str) -> list[Running]:
        """Return the services whose queue *routing_key* is bound to."""
        return [
            running
            for running in self.installation.services.values()
            if any(
                routing_key in item._queue.bindings for item in running.parts.consumers if isinstance(item, Consumer)
            )
        ]

    def tells(self, said: str) -> bool:
        """Say whether an answer holds anything of the victim's."""
        return any(mark in said for mark in (MARK, ADDRESS, str(self.unreadable_id)))

    # -- seeding

    async def seed(self) -> None:
        await self._apply(VICTIM)
        await self._apply(INTRUDER)
        workflow = self.installation.services["workflow"]
        await self.take(workflow, envelope(f.ApplicationStageChanged(application=snapshot())))
        old = datetime.now(UTC) - timedelta(days=40)
        seen = f.ApplicationObserved(
            application_id=ApplicationId(OFFERED), application=snapshot(OFFERED), observed_at=datetime.now(UTC),
            entered_at=old, found_by=f.FoundBy.RECONCILIATION, act_within_s=3600.0,
        )  # fmt: skip
        await self.take(workflow, envelope(seen))
        for command in commands():
            message = envelope(command)
            for running in self.takers(message.routing_key):
                await self.take(running, message)
        sealed = {"organization_id": MARK, "email": ADDRESS, "operation": "assessment_completed", "assessment_id": TEST}
        await self.post(VICTIM, "coderbyte", sealed)
        self.body_id = await self.installation.eyes.fetchval(
            "select id from ingest.sealed_body where account_id = $1 and reason = 'signal'", VICTIM
        )
        await self.post(VICTIM, "coderbyte", {"operation": "assessment_completed", "organization_id": MARK})
        self.unreadable_id = await self.installation.eyes.fetchval(
            "select id from ingest.sealed_body where account_id = $1 and reason = 'unreadable'", VICTIM
        )
        for schema in ("assessments", "greenhouse_actions"):
            await self.installation.eyes.execute(
                f"update {schema}.intent set state = 'parked', cause = $1 where account_id = $2 and action <> 'move'",
                MARK,
                VICTIM,
            )
        await self._fill_the_rest()
        await self._link()

    async def _apply(self, account: AccountId) -> None:
        mine = MARK if account == VICTIM else "intruder-organization"
        base = f"/internal/v1/accounts/{account}"
        keys = {"organization_id": mine, "accepted_webhook_keys": [f"coderbyte-key-{account}"]}
        wanted: list[tuple[str, str, dict[str, Any]]] = [
            ("ingest", base, {"greenhouse": {"webhook_secret": f"secret-of-{account}"}, "coderbyte": keys}),
            ("greenhouse-actions", f"{base}/connection",
             {"api_version": "v3", "client_id": "c", "client_secret": "s", "base_url": "http://127.0.0.1:1",
              "settings": {"note.link_hosts": [mine]}}),
            ("assessments", f"{base}/connection",
             {"organization_id": mine, "api_key": "k", "base_url": "http://127.0.0.1:1"}),
        ]  # fmt: skip
        if account == VICTIM:
            document = json.dumps(DOCUMENT | {"name": MARK}).replace("Coding Assessment", STAGE_NAME)
            wanted.append(("workflow", f"{base}/workflows", {"workflows": [json.loads(document)]}))
        for service, path, body in wanted:
            status, said = await self.call(service, "PUT", path, body)
            assert status == 200, said
        _, shown = await self.call("ingest", "GET", f"/internal/v1/endpoints?account={account}")
        for token in re.findall(r"/webhooks/(\w+)/([\w-]+)", shown):
            secret = f"secret-of-{account}" if token[0] == "greenhouse" else f"coderbyte-key-{account}"
            self.endpoints[account, token[0]] = (token[1], secret)

    async def _report(self) -> bytes:
        """Seal a report whose link bears the mark, as the service that keeps it does."""
        raw = json.dumps({"report_link": f"https://coderbyte.com/report/{MARK}", "test_id": TEST}).encode()
        place = f"result.report:{COMMANDS[Action.INVITE]}:1"
        async with transaction(self.installation.services["assessments"].pool) as connection:
            subject = f"candidate:{CANDIDATE}"
            return await Sealer(self.installation.keyring).seal(connection, VICTIM, subject, raw, place)

    async def _link(self) -> None:
        """Give the victim's invite a private link that bears the mark."""
        link, place = f"https://coderbyte.com/{MARK}".encode(), f"invite.link:{COMMANDS[Action.INVITE]}"
        async with transaction(self.installation.services["assessments"].pool) as connection:
            sealer, subject = Sealer(self.installation.keyring), f"candidate:{CANDIDATE}"
            sealed = await sealer.seal(connection, VICTIM, subject, link, place)
        await self.installation.eyes.execute(
            "update assessments.invite set link = $1, erased_at = null where command_id = $2",
            sealed,
            COMMANDS[Action.INVITE],
        )

    async def _fill_the_rest(self) -> None:
        """Give the victim a row in every table that has none yet, so that a new table is walked too."""
        said: dict[str, Any] = {
            "application_id": APPLICATION, "candidate_id": CANDIDATE, "job_id": JOB, "stage_id": STAGE,
            "command_id": COMMANDS[Action.INVITE], "intent_id": COMMANDS[Action.INVITE], "visit": VISIT,
            "assessment_id": TEST, "address_hash": self.address_hash, "settings": "{}", "scope": "account",
            "name": "", "vendor": "coderbyte", "progress": "invited", "kind": "completed", "integrity": "none", "version": 1, "report": await self._report(),
            "subject": f"candidate:{CANDIDATE}", "acting_user": "", "fields": "[]", "assessment_name": MARK, "reason": MARK, "stages": "[]", "known_attempts": [],
            "sealed_body_id": self.body_id, "into_candidate_id": 8009, "ordinal": 0,
        }  # fmt: skip
        for running in self.installation.services.values():
            schema = running.service.schema
            said["vendor"] = "greenhouse" if schema == "greenhouse_actions" else "coderbyte"
            await without_other_constraints(self.installation, schema)
            for table, columns in (await self.installation.tables(schema)).items():
                if "account_id" not in columns:
                    continue
                name = f"{schema}.{table}"
                count = await self.installation.eyes.fetchval(
                    f"select count(*) from {name} where account_id = $1", VICTIM
                )
                if not count:
                    own: dict[str, dict[str, Any]] = {
                        "erasure": {"candidate_id": 8008, "why": "deleted"},
                        "dead_letter": {"id": LETTER, "state": "waiting"},
                    }
                    values = said | {"account_id": VICTIM} | own.get(table, {})
                    await insert(self.installation, schema, table, columns, values, text=MARK)
                assert await self.installation.eyes.fetchval(
                    f"select count(*) from {name} where account_id = $1", VICTIM
                ), name

    # -- webhooks

    async def post(
        self, endpoint_of: AccountId, vendor: str, body: dict[str, Any], *, signed_by: AccountId | None = None
    ) -> int:
        token, _ = self.endpoints[endpoint_of, vendor]
        _, secret = self.endpoints[signed_by or endpoint_of, vendor]
        raw = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if vendor == "greenhouse":
            headers["Signature"] = "sha256 " + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        else:
            organization = MARK if (signed_by or endpoint_of) == VICTIM else "intruder-organization"
            headers["Authorization"] = "Bearer " + jwt.encode({"iss": organization}, secret, algorithm="HS256")
        async with self.clients["ingest"].post(f"/webhooks/{vendor}/{token}", data=raw, headers=headers) as answer:
            await answer.read()
            return answer.status


def app_of(running: Running) -> web.Application:
    """Return what a service serves; ingest has a listener of its own."""
    if running.parts.http is not None:
        return running.parts.http
    app: web.Application = running.parts.tasks[0].__self__._runner.app  # type: ignore[attr-defined]
    return app
