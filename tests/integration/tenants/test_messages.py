"""Every message type of the wire, told by one account of what is another's: no effect (P7)."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import types
import typing
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import AwareDatetime
from tests.integration.tenants.installation import Running
from tests.integration.tenants.walking import (
    APPLICATION,
    CANDIDATE,
    COMMANDS,
    INTRUDER,
    JOB,
    MARK,
    NEXT,
    OFFERED,
    STAGE,
    TEST,
    VICTIM,
    VISIT,
    Walk,
    envelope,
)

from trellis.common.contracts.commands import Action
from trellis.common.contracts.envelope import MESSAGE_TYPES, Envelope
from trellis.common.errors import PermanentError

_LATER = itertools.count()
"""Each message tells of a later time than the one before: what happens within one second is read, not believed."""


def made(walk: Walk, kind: Any, name: str = "") -> Any:
    """Return a value of the type *kind* for the field *name*: the victim's ids wherever one fits."""
    ids: dict[str, Any] = {
        "application_id": APPLICATION, "application_ids": (APPLICATION, OFFERED), "candidate_id": CANDIDATE,
        "into_candidate_id": CANDIDATE + 1, "job_id": JOB, "stage_id": STAGE, "from_stage_id": STAGE, "id": STAGE,
        "to_stage_id": NEXT, "command_id": COMMANDS[Action.INVITE], "asked_by": COMMANDS[Action.OBSERVE],
        "visit": VISIT, "assessment_id": TEST, "address_hash": walk.address_hash, "address_hashes": (walk.address_hash,), "sealed_body_id": walk.body_id,
        "workflow": MARK,
    }  # fmt: skip
    if name in ids:
        return ids[name]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: made(walk, hints[field.name], field.name) for field in dataclasses.fields(kind)})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    origin_of, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin_of is typing.Annotated:
        return made(walk, arguments[0], name)
    if origin_of in (types.UnionType, typing.Union):
        return made(walk, next(item for item in arguments if item is not types.NoneType), name)
    if origin_of in (tuple, list, dict):
        return origin_of()
    plain: dict[Any, Callable[[], Any]] = {
        str: lambda: "x",
        bool: lambda: True,
        int: lambda: 1,
        float: lambda: 1.0,
        UUID: uuid4,
        AwareDatetime: lambda: datetime.now(UTC) - timedelta(hours=1) + next(_LATER) * timedelta(seconds=10),
    }
    return plain[kind]()


@pytest.mark.parametrize("policies", [True, False], ids=["queries and policies", "queries alone"])
async def test_no_message_of_one_account_changes_anything_of_another(walk: Walk, policies: bool) -> None:
    if not policies:
        await walk.installation.drop_policies()
    before = await walk.everything_of(VICTIM)
    for name, kind in MESSAGE_TYPES.items():
        takers = walk.takers(f"{name}.v1")
        assert takers, f"no service takes {name}"
        for running in takers:
            await _taken(walk, running, envelope(made(walk, kind), INTRUDER))
            now = await walk.everything_of(VICTIM)
            assert now == before, f"{name} changed something in {running.service.name}"
    told = str(await walk.installation.eyes.fetch("select body from workflow.outbox where account_id = $1", INTRUDER))
    assert MARK not in told


async def test_the_same_messages_of_the_account_itself_change_something(walk: Walk) -> None:
    """Otherwise the intruder's could pass because they do nothing at all."""
    idle = set()
    for name, kind in MESSAGE_TYPES.items():
        before = _but_inbox(await walk.everything_of(VICTIM))
        for running in walk.takers(f"{name}.v1"):
            await _taken(walk, running, envelope(made(walk, kind)))
        if _but_inbox(await walk.everything_of(VICTIM)) == before:
            idle.add(name)
    assert idle <= IDLE


IDLE = {
    "invite.send", "application.move",  # the command is known already
    "application.observed", "entry.accepted",  # the application is known to be where it is said to be
    "candidate.updated", "stage.deleted",  # nothing waits for an address, no stage of that job is cached
    "assessment.signalled", "candidate.erased",  # the person was deleted a few messages before
}  # fmt: skip
"""What changes nothing of the victim's as it is seeded here, when it comes from the victim."""


async def _taken(walk: Walk, running: Running, message: Envelope) -> None:
    """Hand *message* to the service; that it cannot be handled is an end as well."""
    with suppress(PermanentError):
        await walk.take(running, message)


def _but_inbox(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    return {table: found for table, found in rows.items() if not table.endswith(".inbox")}
