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
import pytest
from click.testing import CliRunner
from tests.e2e.breaking import SEEDED
from tests.e2e.conftest import whole_system
from tests.e2e.patient import Patient
from tools.dev.servers import Servers
from tools.dev.system import System

from trellis.cli.main import cli
from trellis.cli.reading import read
from trellis.common.bus.topology import management_of
from trellis.common.errors import PermanentError
from trellis.common.runtime.keyring import Keyring


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with whole_system(servers, tmp_path_factory.mktemp("doctor"), f"doctor_{os.getpid()}") as system:
        yield system


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
