"""`trellis doctor` on a real set-up that is broken on purpose: exactly the seeded fault is named, and a whole one has none.

The system is this file's own, since some faults are of the whole installation.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import asyncpg
import pytest
from click.testing import CliRunner
from tests.e2e.conftest import Tenant, whole_system
from tools.dev.servers import Servers
from tools.dev.system import System

from trellis.cli import doctor
from trellis.cli.main import cli
from trellis.cli.reading import read
from trellis.common.bus.topology import management_of
from trellis.common.errors import PermanentError
from trellis.common.runtime.keyring import Keyring

Found = list[tuple[str, str]]
Break = Callable[["Patient"], Awaitable[None]]


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with whole_system(servers, tmp_path_factory.mktemp("doctor"), f"doctor_{os.getpid()}") as system:
        yield system


class Patient(Tenant):
    """A tenant whose set-up is broken and looked at."""

    async def trellis(self, *arguments: str) -> str:
        """Run the command in this process: a fresh one takes longer than most of these tests."""
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments), env=self.environ)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    async def marks(self, service: str) -> list[str]:
        """The broker's marks of the epochs of *service*'s database."""
        variables = self.system.variables()
        base, vhost, headers = management_of(
            variables["TRELLIS_BROKER_URL"], variables["TRELLIS_BROKER_MANAGEMENT_URL"]
        )
        url = f"{base}/api/queues/{vhost}?name=^{service}\\.epoch\\.&use_regex=true&page=1"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            return [queue["name"] for queue in (await answer.json())["items"]]

    async def restated(self, change: Callable[[dict[str, Any]], None], **settings: object) -> None:
        """Apply the account's file with *change* made to it."""
        await self.apply(**settings)
        file = self.folder / f"{self.account}.yaml"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
        await self.trellis("apply", "-f", str(file))

    async def sql(self, statement: str, *values: object) -> None:
        """Change the database as its owner; `$1` is the account."""
        connection = await asyncpg.connect(self.system.variables()["TRELLIS_MIGRATE_DATABASE_URL"])
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    async def findings(self, **more: Any) -> list[doctor.Told]:
        return list((await doctor.examine(self.account, **more)).found)

    async def found(self) -> Found:
        """What is wrong with this account alone."""
        return [(told.finding.check, told.finding.subject) for told in await self.findings() if told.account]

    async def found_of_all(self) -> Found:
        """What is wrong with the installation."""
        return [(told.finding.check, told.finding.subject) for told in await self.findings() if not told.account]

    async def until_found_of_all(self, wanted: Found) -> None:
        """Wait for what the broker notices, or shows of itself, within seconds."""
        async with asyncio.timeout(40):
            while await self.found_of_all() != wanted:
                await asyncio.sleep(0.5)

    async def until_found(self, wanted: Found) -> None:
        """Wait until what is written down once a second is; the findings are then exactly the *wanted* ones."""
        end = asyncio.get_running_loop().time() + 20
        while True:
            told = await self.findings()
            if [(item.finding.check, item.finding.subject) for item in told if item.account] == wanted:
                return
            assert asyncio.get_running_loop().time() < end, [item.finding.fault for item in told]
            await asyncio.sleep(0.3)


@pytest.fixture
def bare(session: aiohttp.ClientSession, system: System, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """An account that nobody applied yet."""
    for name, value in system.variables().items():
        monkeypatch.setenv(name, value)
    return Patient(session, system, f"d{os.urandom(4).hex()}")


@pytest.fixture
async def patient(bare: Patient) -> Patient:
    """A whole set-up."""
    await bare.open()
    await bare.until_found([])
    return bare


async def test_a_whole_set_up_has_no_fault_and_the_command_ends_well(patient: Patient) -> None:
    assert await patient.findings() == []
    assert "nothing is wrong" in await patient.trellis("doctor", "--account", patient.account)


async def test_each_fault_is_told_with_its_meaning_and_remedy_and_ends_the_command_with_one(patient: Patient) -> None:
    await patient.person("revoke_scope", scope="notes:create")
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", "--account", patient.account])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{patient.account}: the credential lacks the permission harvest:notes:create",
        "  means   no result is written to Greenhouse: each note waits",
        "  remedy  tick harvest:notes:create for the credential (Greenhouse, Configure > Dev Center > "
        "API Credential Management)",
    ]
    await patient.person("grant_scope", scope="notes:create")
    assert await patient.found() == []


async def test_an_account_that_nobody_applied_is_named(bare: Patient) -> None:
    with pytest.raises(PermanentError, match="no account"):
        await bare.findings()


def _stage(document: dict[str, Any], name: object) -> None:
    document["workflows"][0]["rules"][0]["when"]["stage_entered"]["stage"] = name


def _assessment(document: dict[str, Any], name: str) -> None:
    for rule in document["workflows"][0]["rules"]:
        rule["when"].get("assessment_completed", {}).update(assessment=name)
    document["workflows"][0]["rules"][0]["then"] = [{"send_assessment": name}]


async def _no_introspection(patient: Patient) -> None:
    await patient.apply(**{"v3.introspect": "off"})
    await patient.person("revoke_scope", scope="candidates:list")


async def _unknown_user(patient: Patient) -> None:
    await patient.restated(lambda document: document["greenhouse"].update(service_user_id=4_999_999_999))


async def _other_user(patient: Patient) -> None:
    user = next(u["id"] for u in patient.made["greenhouse"]["users"] if not u["site_admin"])
    await patient.restated(lambda document: document["greenhouse"].update(service_user_id=user))


async def _shown_nothing(patient: Patient) -> None:
    await patient.own("PUT", "/switches", {"list.non_admin": "empty"})
    await patient.person("drop_site_admin")


async def _rejected_client(patient: Patient) -> None:
    await patient.person("rotate_client_secret", keep_old=False)
    await patient.person("revoke_tokens")


async def _skewed(patient: Patient) -> None:
    await patient.own("PUT", "/switches", {"clock.skew_s": 300})


async def _unknown_stage(patient: Patient) -> None:
    await patient.restated(lambda document: _stage(document, "Take Home"))


async def _unknown_stage_id(patient: Patient) -> None:
    await patient.restated(lambda document: _stage(document, 7_999_999_999))


async def _unknown_job(patient: Patient) -> None:
    await patient.restated(lambda document: document["workflows"][0].update(jobs=[4_999_999_999]))


async def _unknown_assessment(patient: Patient) -> None:
    await patient.restated(lambda document: _assessment(document, "nowhere-1"))


async def _unlinked(patient: Patient) -> None:
    made = await patient.own("POST", "/assessments", {"display_name": "Bare", "test_id": "bare-1", "public_url": None})
    await patient.restated(lambda document: _assessment(document, made["test_id"]))


async def _no_coderbyte(patient: Patient) -> None:
    await patient.restated(lambda document: document.pop("coderbyte"))
    await patient.sql("delete from assessments.connection where account_id = $1", patient.account)


async def _no_greenhouse(patient: Patient) -> None:
    await patient.restated(lambda document: document.pop("greenhouse"))
    await patient.sql("delete from greenhouse_actions.harvest_connection where account_id = $1", patient.account)


async def _sealed_elsewhere(patient: Patient) -> None:
    await patient.sql(
        "update greenhouse_actions.harvest_connection set sealed_credential = sealed_credential || '\\x00'::bytea, "
        "updated_at = clock_timestamp() where account_id = $1",
        patient.account,
    )
    await asyncio.sleep(1.2)  # a process works with a connection for a second


async def _key_sealed_elsewhere(patient: Patient) -> None:
    await patient.sql(
        "update assessments.connection set api_key = api_key || '\\x00'::bytea where account_id = $1", patient.account
    )


async def _secret_sealed_elsewhere(patient: Patient) -> None:
    await patient.sql(
        "update ingest.endpoint_secret s set sealed = sealed || '\\x00'::bytea from ingest.endpoint e "
        "where e.id = s.endpoint_id and e.account_id = $1 and e.vendor = 'greenhouse'",
        patient.account,
    )


async def _greenhouse_away(patient: Patient) -> None:
    gone = {"base_url": "http://127.0.0.1:1/v3", "token_url": "http://127.0.0.1:1/token"}
    await patient.restated(lambda document: document["greenhouse"].update(gone))


async def _coderbyte_away(patient: Patient) -> None:
    await patient.restated(lambda document: document["coderbyte"].update(base_url="http://127.0.0.1:1/api"))


async def _greenhouse_in_trouble(patient: Patient) -> None:
    await patient.fault("users.list", "502", count=0)


async def _late(patient: Patient) -> None:
    await patient.sql(
        "update greenhouse_actions.reconciliation set completed_at = clock_timestamp() - interval '2 hours', "
        "due_at = clock_timestamp() + interval '1 hour', lease_until = clock_timestamp() + interval '1 hour', "
        "cause = 'a filter was ignored' where account_id = $1",
        patient.account,
    )


async def _silent(patient: Patient) -> None:
    await patient.sql(
        "update ingest.endpoint set connected_at = clock_timestamp() - interval '28 days', "
        "last_received_at = clock_timestamp() - interval '6 hours' where account_id = $1 and vendor = 'greenhouse'",
        patient.account,
    )
    await patient.sql(
        "insert into ingest.endpoint_hour select e.id, date_trunc('hour', clock_timestamp()) - make_interval(days => 7 * w, "
        "hours => h), 5 from ingest.endpoint e, generate_series(1, 3) w, generate_series(-1, 8) h "
        "where e.account_id = $1 and e.vendor = 'greenhouse'",
        patient.account,
    )


async def _braked(patient: Patient) -> None:
    await patient.trellis("brake", "on", "--account", patient.account, "--reason", "a mistake in a rule")


async def _workflow_braked(patient: Patient) -> None:
    await patient.trellis("brake", "on", "--account", patient.account, "--workflow", "engineering")


async def _paused_for_more(patient: Patient) -> None:
    await patient.sql(
        "insert into greenhouse_actions.pause (account_id, vendor, reason, remedy, retry_at) values "
        "($1, 'greenhouse', 'Greenhouse says no', 'ask it', clock_timestamp() + interval '1 hour')",
        patient.account,
    )


SEEDED: dict[str, tuple[Break, Found]] = {
    "missing permission": (
        lambda p: p.person("revoke_scope", scope="notes:create"),  # type: ignore[dict-item,return-value]
        [("permission-missing", "harvest:notes:create")],
    ),
    "missing permission of the users' list": (
        lambda p: p.person("revoke_scope", scope="users:list"),  # type: ignore[dict-item,return-value]
        [("permission-missing", "harvest:users:list")],
    ),
    "missing permission, and nobody tells which there are": (
        _no_introspection,
        [("permission-missing", "harvest:candidates:list")],
    ),
    "wrong service user: nobody": (_unknown_user, [("service-user-unknown", "greenhouse")]),
    "wrong service user: no Site Admin": (_other_user, [("site-admin-lost", "greenhouse")]),
    "disabled service user": (
        lambda p: p.person("deactivate_user"),  # type: ignore[dict-item,return-value]
        [("service-user-disabled", "greenhouse")],
    ),
    "Site Admin lost, lists are refused": (
        lambda p: p.person("drop_site_admin"),  # type: ignore[dict-item,return-value]
        [("site-admin-lost", "greenhouse")],
    ),
    "Site Admin lost, lists are empty": (_shown_nothing, [("site-admin-lost", "greenhouse")]),
    "rejected client of Greenhouse": (_rejected_client, [("credential-rejected", "greenhouse")]),
    "rejected key of Coderbyte": (
        lambda p: p.person("rotate_api_key", keep_old=False),  # type: ignore[dict-item,return-value]
        [("credential-rejected", "coderbyte")],
    ),
    "wrong clock": (_skewed, [("clock-skew", "greenhouse")]),
    "unknown stage": (_unknown_stage, [("stage-unknown", "Take Home")]),
    "unknown stage, by id": (_unknown_stage_id, [("stage-unknown", "7999999999")]),
    "renamed stage": (
        lambda p: p.person("rename_stage", stage="Coding Assessment", name="Test"),  # type: ignore[dict-item,return-value]
        [("stage-renamed", "Coding Assessment")],
    ),
    "deleted stage": (
        lambda p: p.person("delete_stage", stage="Coding Assessment"),  # type: ignore[dict-item,return-value]
        [("stage-deleted", "Coding Assessment")],
    ),
    "unknown job": (_unknown_job, [("job-unknown", "4999999999")]),
    "unknown assessment": (_unknown_assessment, [("assessment-unknown", "nowhere-1")]),
    "assessment without a link": (_unlinked, [("assessment-without-link", "bare-1")]),
    "no connection to Coderbyte": (_no_coderbyte, [("connection-missing", "coderbyte")]),
    "no connection to Greenhouse": (_no_greenhouse, [("connection-missing", "greenhouse")]),
    "credential sealed elsewhere": (_sealed_elsewhere, [("credential-unreadable", "greenhouse")]),
    "key sealed elsewhere": (_key_sealed_elsewhere, [("credential-unreadable", "coderbyte")]),
    "webhook secret sealed elsewhere": (_secret_sealed_elsewhere, [("secret-unreadable", "greenhouse")]),
    "Greenhouse not reachable": (_greenhouse_away, [("vendor-away", "greenhouse")]),
    "Greenhouse in trouble": (_greenhouse_in_trouble, [("vendor-away", "greenhouse")]),
    "Coderbyte not reachable": (_coderbyte_away, [("vendor-away", "coderbyte")]),
    "reconciler late": (_late, [("reconciler-late", "greenhouse")]),
    "webhook silent": (_silent, [("webhook-silent", "greenhouse")]),
    "brake left on": (_braked, [("brake-on", "account")]),
    "brake of a workflow left on": (_workflow_braked, [("brake-on", "workflow engineering")]),
    "a pause for another reason": (_paused_for_more, [("connection-paused", "greenhouse")]),
}


@pytest.mark.parametrize("fault", SEEDED)
async def test_a_seeded_fault_is_found_and_nothing_else(patient: Patient, fault: str) -> None:
    breaks, wanted = SEEDED[fault]
    await breaks(patient)
    assert await patient.found() == wanted, await patient.findings()


async def test_a_closed_assessment_is_found_and_gone_when_it_is_open_again(patient: Patient) -> None:
    test = patient.made["coderbyte"]["assessments"][0]["test_id"]
    await patient.person("close_assessment", assessment=test)
    assert await patient.found() == [("assessment-closed", test)]
    await patient.person("close_assessment", assessment=test, value=False)
    assert await patient.found() == []


# -- webhooks


async def test_a_webhook_that_was_never_saved_is_told_as_never_pinged(bare: Patient) -> None:
    await bare.open(connect=False)
    assert await bare.found() == [("webhook-never-pinged", "greenhouse")]


async def test_a_secret_that_was_typed_wrong_is_told_as_refused_until_it_is_right(bare: Patient) -> None:
    await bare.open(connect=False)
    endpoints = await bare.endpoints()
    secret = endpoints[0]["secret"]
    await bare.connect([{**endpoints[0], "secret": "mistyped-secret"}, endpoints[1]])
    await bare.until_found([("webhook-refused", "greenhouse")])
    await bare.person("rotate_webhook_secret", secret=secret)
    await bare.sql(
        "update ingest.endpoint set refused_at = refused_at - interval '2 hours' where account_id = $1", bare.account
    )
    await bare.until_found([])


@pytest.mark.parametrize(
    ("signature", "check"), [("wrong_key", "webhook-refused"), ("wrong_iss", "organization-wrong")]
)
async def test_refused_webhooks_of_coderbyte_tell_a_wrong_key_from_a_wrong_organization(
    patient: Patient, signature: str, check: str
) -> None:
    await patient.own("PUT", "/switches", {"coderbyte.webhook.signature": signature})
    await patient.person("join", email=patient.email("Vera"), public=True)
    await patient.until_found([(check, "coderbyte")])


async def test_a_token_that_is_over_before_it_comes_tells_of_the_clock(patient: Patient) -> None:
    await patient.own("PUT", "/switches", {"coderbyte.webhook.exp": "past"})
    await patient.person("join", email=patient.email("Wanda"), public=True)
    await patient.until_found([("clock-skew", "coderbyte")])


# -- a neighbour


async def test_a_greedy_neighbour_of_the_rate_limit_is_told(bare: Patient) -> None:
    await bare.open(**{"rate.share": 0.6})
    await bare.until_found([])
    await bare.own("PUT", "/switches", {"rate.limit": 200, "token.single_active": False})
    greenhouse = bare.made["greenhouse"]
    basic = aiohttp.encode_basic_auth(greenhouse["client_id"], greenhouse["client_secret"])
    async with aiohttp.ClientSession() as neighbour:
        form = {"grant_type": "client_credentials", "sub": str(greenhouse["service_user_id"])}
        async with neighbour.post(greenhouse["token_url"], data=form, headers={"Authorization": basic}) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(185):
            async with neighbour.get(f"{greenhouse['base_url']}/jobs", headers=headers) as answer:
                await answer.read()
    assert await bare.found() == [("rate-shared", "greenhouse")]


# -- the installation


@pytest.fixture
async def management(system: System) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Orders to the broker's management API, below this system's virtual host; the topology is whole again afterwards."""
    variables = system.variables()
    base, vhost, headers = management_of(variables["TRELLIS_BROKER_URL"], variables["TRELLIS_BROKER_MANAGEMENT_URL"])
    async with aiohttp.ClientSession(headers=headers) as session:

        async def order(method: str, kind: str, path: str) -> None:
            async with session.request(method, f"{base}/api/{kind}/{vhost}/{path}") as answer:
                assert answer.status < 300, await answer.text()

        yield order
        system.trellis("apply-topology")
        async with asyncio.timeout(40):  # the broker shows some seconds late that a queue has its policy
            while True:
                async with session.get(f"{base}/api/queues/{vhost}") as answer:
                    queues = await answer.json()
                if all(queue.get("policy") for queue in queues if ".epoch." not in queue["name"]):
                    break
                await asyncio.sleep(0.5)


async def test_a_queue_that_is_gone_is_told(patient: Patient, management: Callable[..., Awaitable[None]]) -> None:
    await management("DELETE", "queues", "assessments.inbound.retry.10m")
    (told,) = await patient.findings()
    assert told.finding.check == "topology-missing"
    assert "assessments.inbound.retry.10m" in told.finding.fault


async def test_a_policy_that_is_gone_is_told(patient: Patient, management: Callable[..., Awaitable[None]]) -> None:
    await management("DELETE", "policies", "trellis%20workflow.inbound")
    await patient.until_found_of_all([("policy-missing", "workflow.inbound")])
    patient.system.trellis("apply-topology")
    await patient.until_found_of_all([])


async def test_a_database_that_the_broker_does_not_know_is_told_until_a_person_ends_it(
    patient: Patient, management: Callable[..., Awaitable[None]]
) -> None:
    rows = await patient.marks("assessments")
    for mark in rows:
        await management("DELETE", "queues", mark)
    await patient.until_found_of_all([("database-restored", "assessments")])
    assert "assessments: RESTORED" in await patient.trellis("restored", "status")
    ended = await patient.trellis("restored", "end", "--yes", "--uncompared", "--without-erasures")
    assert "effects begin" in ended
    await patient.until_found_of_all([])
    assert "assessments: not restored (ended" in await patient.trellis("restored", "status")


async def test_a_binding_that_is_gone_is_told(patient: Patient, management: Callable[..., Awaitable[None]]) -> None:
    await management("DELETE", "bindings", "e/trellis/q/assessments.inbound/invite.send.v1")
    (told,) = await patient.findings()
    assert (told.finding.check, told.finding.subject) == ("binding-missing", "assessments.inbound")
    assert "invite.send.v1" in told.finding.fault


async def test_a_message_that_cannot_be_handled_is_told_and_waits_in_the_list_until_a_person_drops_it(
    patient: Patient, management: Callable[..., Awaitable[None]]
) -> None:
    """It was never one of ours, so it is parked for no account; put back, it dies again and is told once."""

    async def parked() -> Any:
        return json.loads(await patient.trellis("parked", "list", "--json"))

    async def until_redriven(count: int) -> Any:
        async with asyncio.timeout(20):
            while True:
                rows = await parked()
                if rows and f"redriven {count} times" in rows[0]["tried"]:
                    return rows
                await asyncio.sleep(0.2)

    connection = await aio_pika.connect(patient.system.variables()["TRELLIS_BROKER_URL"])
    async with connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), "workflow.inbound")
    (row,) = await until_redriven(0)
    assert "the envelope is not a CloudEvent of ours" in row["cause"]
    assert await patient.found_of_all() == [("dead-letters", "workflow.inbound")]
    assert "1 of 1 would be done" in await patient.trellis("parked", "redrive", "--all")
    assert f"{row['id']}: redriven" in await patient.trellis("parked", "redrive", row["id"])
    (again,) = await until_redriven(1)
    assert (again["id"], again["cause"]) == (row["id"], row["cause"])
    assert f"{row['id']}: dropped" in await patient.trellis("parked", "drop", "--all", "--yes")
    assert await parked() == []
    assert await patient.found_of_all() == []


async def test_a_migration_that_was_not_applied_is_told(patient: Patient) -> None:
    kept = "create table public.kept as select * from workflow.schema_migration"
    await patient.sql(kept)
    await patient.sql("delete from workflow.schema_migration where number = 2 and component like '%workflow%'")
    try:
        assert await patient.found_of_all() == [("migration-pending", "workflow")]
    finally:
        await patient.sql("insert into workflow.schema_migration select * from public.kept on conflict do nothing")
        await patient.sql("drop table public.kept")
    assert await patient.found_of_all() == []


async def test_messages_that_are_not_sent_are_told(patient: Patient) -> None:
    for schema, check, subject in (
        ("ingest.spool", "spool-stuck", ""),
        ("workflow.outbox", "outbox-stuck", "workflow"),
    ):
        await patient.sql(
            f"insert into {schema} (id, account_id, routing_key, body, created_at, lease_until) values "
            "(gen_random_uuid(), $1, 'setup.stuck', '', clock_timestamp() - interval '1 hour', "
            "clock_timestamp() + interval '1 hour')",
            patient.account,
        )
        try:
            assert await patient.found_of_all() == [(check, subject)]
        finally:
            await patient.sql(f"delete from {schema} where routing_key = 'setup.stuck'")
    assert await patient.found_of_all() == []


async def test_a_service_that_is_down_is_told_without_what_follows_from_it(patient: Patient, system: System) -> None:
    system.stop("assessments")
    try:
        assert await patient.findings() != []
        assert await patient.found_of_all() == [("service-away", "assessments")]
        assert await patient.found() == []
    finally:
        system.start("assessments")


async def test_another_key_ring_is_told(patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = tmp_path / "other.json"
    ring.write_text(Keyring.generate().to_json())
    monkeypatch.setenv("TRELLIS_KEYRING_FILE", str(ring))
    services = ("ingest", "workflow", "greenhouse-actions", "assessments")
    assert await patient.found_of_all() == [("service-refuses", service) for service in services]
    monkeypatch.setenv("TRELLIS_KEYRING_FILE", str(tmp_path / "nowhere.json"))
    assert await patient.found_of_all() == [("keyring-unreadable", "")]


async def test_a_broker_and_a_database_that_are_not_there_are_told(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRELLIS_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/")
    assert await patient.found_of_all() == [("broker-away", "")]
    monkeypatch.setenv("TRELLIS_MIGRATE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert await patient.found_of_all() == [("database-away", ""), ("broker-away", "")]


async def test_a_reference_that_leads_nowhere_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = patient.folder / f"{patient.account}.yaml"
    monkeypatch.setenv("DEMO_API_KEY", "there")
    monkeypatch.delenv("DEMO_CLIENT_SECRET", raising=False)
    found = await patient.findings(file=read(path), folder=path.parent)
    assert [(told.finding.check, told.finding.subject) for told in found] == [
        ("reference-missing", "env:DEMO_CLIENT_SECRET")
    ]


async def test_a_broker_that_takes_nothing_is_told(patient: Patient, system: System) -> None:
    system.rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        await patient.until_found_of_all([("broker-alarm", "")])
    finally:
        system.rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1GB")
    await patient.until_found_of_all([])
