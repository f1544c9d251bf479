"""The faults of a set-up that `trellis doctor` is tried on: how each is made, and what is then found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.e2e.patient import Found, Patient

Break = Callable[[Patient], Awaitable[object]]


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
        lambda p: p.person("revoke_scope", scope="notes:create"),
        [("permission-missing", "harvest:notes:create")],
    ),
    "missing permission of the users' list": (
        lambda p: p.person("revoke_scope", scope="users:list"),
        [("permission-missing", "harvest:users:list")],
    ),
    "missing permission, and nobody tells which there are": (
        _no_introspection,
        [("permission-missing", "harvest:candidates:list")],
    ),
    "wrong service user: nobody": (_unknown_user, [("service-user-unknown", "greenhouse")]),
    "wrong service user: no Site Admin": (_other_user, [("site-admin-lost", "greenhouse")]),
    "disabled service user": (
        lambda p: p.person("deactivate_user"),
        [("service-user-disabled", "greenhouse")],
    ),
    "Site Admin lost, lists are refused": (
        lambda p: p.person("drop_site_admin"),
        [("site-admin-lost", "greenhouse")],
    ),
    "Site Admin lost, lists are empty": (_shown_nothing, [("site-admin-lost", "greenhouse")]),
    "rejected client of Greenhouse": (_rejected_client, [("credential-rejected", "greenhouse")]),
    "rejected key of Coderbyte": (
        lambda p: p.person("rotate_api_key", keep_old=False),
        [("credential-rejected", "coderbyte")],
    ),
    "wrong clock": (_skewed, [("clock-skew", "greenhouse")]),
    "unknown stage": (_unknown_stage, [("stage-unknown", "Take Home")]),
    "unknown stage, by id": (_unknown_stage_id, [("stage-unknown", "7999999999")]),
    "renamed stage": (
        lambda p: p.person("rename_stage", stage="Coding Assessment", name="Test"),
        [("stage-renamed", "Coding Assessment")],
    ),
    "deleted stage": (
        lambda p: p.person("delete_stage", stage="Coding Assessment"),
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
