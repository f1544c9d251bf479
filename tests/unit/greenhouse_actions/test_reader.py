"""Which readings are shared by the writes of one process, and which never are."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.fakes.harvest import FakeHarvests

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.errors import TransientError
from trellis.greenhouse_actions import reading
from trellis.greenhouse_actions.domain.readings import ApplicationView, Readings
from trellis.greenhouse_actions.reading import SHARED_SECONDS, Reader

ACME = AccountId("acme")


class Asked:
    """One process's reader, and what it was allowed."""

    def __init__(self) -> None:
        self.greenhouse = FakeHarvests()
        self.reader = Reader()
        self.allowed: list[int] = []

    async def __call__(self, *ids: ApplicationId, with_visits: bool = False) -> Readings:
        async def allow(calls: int) -> None:
            self.allowed.append(calls)

        wanted = dict.fromkeys(ids, None)
        connected = await self.greenhouse.of(ACME)
        return await self.reader.read(connected, wanted, with_visits=with_visits, allow=allow)


async def test_a_note_and_a_move_at_once_are_one_reading() -> None:
    read = Asked()
    one, other = read.greenhouse.harvest.apply(), read.greenhouse.harvest.apply()
    first, second = await asyncio.gather(read(one.id, other.id), read(one.id))
    assert read.greenhouse.harvest.readings == 1
    assert read.allowed == [1, 0]
    assert second.read_at == first.read_at
    assert second.of(one.id) == first.of(one.id)


async def test_a_reading_with_visits_serves_one_without_and_not_the_other_way() -> None:
    read = Asked()
    one = read.greenhouse.harvest.apply()
    await read(one.id)
    shown = (await read(one.id, with_visits=True)).of(one.id)
    assert isinstance(shown, ApplicationView) and shown.entered_at is not None
    await read(one.id)
    assert read.allowed == [1, 2, 0]


async def test_an_old_reading_is_not_shared_and_the_oldest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    read, now = Asked(), time.monotonic()
    one, other = read.greenhouse.harvest.apply(), read.greenhouse.harvest.apply()
    monkeypatch.setattr(reading.time, "monotonic", lambda: now)
    await read(one.id)
    now += SHARED_SECONDS - 1
    await read(other.id)
    both = await read(one.id, other.id)
    assert both.read_at == now - (SHARED_SECONDS - 1)
    now += 2
    await read(one.id)
    assert read.allowed == [1, 1, 0, 1]


async def test_nothing_from_before_a_write_of_ours_is_shared() -> None:
    read = Asked()
    one = read.greenhouse.harvest.apply()
    await read(one.id)
    read.reader.written(ACME, one.id)
    await read(one.id)
    assert read.allowed == [1, 1]


async def test_a_reading_that_a_write_of_ours_overtook_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Asked()
    harvest = read.greenhouse.harvest
    one = harvest.apply()
    honest = harvest.applications

    async def slow(ids: list[ApplicationId]) -> object:
        shown = await honest(ids)
        read.reader.written(ACME, one.id)
        return shown

    monkeypatch.setattr(harvest, "applications", slow)
    await read(one.id)
    monkeypatch.setattr(harvest, "applications", honest)
    await read(one.id)
    assert read.allowed == [1, 1]


async def test_a_failed_reading_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Asked()
    harvest = read.greenhouse.harvest
    one = harvest.apply()

    async def away(ids: list[ApplicationId]) -> object:
        raise TransientError("away")

    with monkeypatch.context() as patch:
        patch.setattr(harvest, "applications", away)
        with pytest.raises(TransientError):
            await read(one.id)
    assert isinstance((await read(one.id)).of(one.id), ApplicationView)
