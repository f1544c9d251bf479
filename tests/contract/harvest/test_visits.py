"""All stage visits of an application, whichever implementation of the port `Harvest` tells of them."""

from __future__ import annotations

import pytest
from tests.contract.harvest.worlds import V3World, World

from trellis.common.contracts.identifiers import ApplicationId
from trellis.common.errors import TransientError


async def test_each_stay_is_told_with_when_it_began_and_ended_the_newest_first(world: World) -> None:
    person, other = await world.apply(), await world.apply("Onsite")
    await world.move(person, "Onsite")
    await world.move(person, "Coding Assessment")
    history = await world.harvest.stage_history([person.application, other.application, ApplicationId(1)])
    if not world.harvest.capabilities.stage_history:
        assert history == {}
        return
    assert set(history) == {person.application, other.application}
    present, onsite, coding = history[person.application]
    assert present == (await world.harvest.current_stages([person.application]))[person.application]
    assert present.current and present.exited_at is None
    assert [row.stage_id for row in (onsite, coding)] == [world.stage("Onsite"), person.stage]
    assert not onsite.current and not coding.current
    times = [at for row in (coding, onsite, present) for at in (row.entered_at, row.exited_at)]
    known = [at for at in times if at is not None]
    assert len(known) == 5 and known == sorted(known)
    (alone,) = history[other.application]
    assert alone.current


async def test_more_stays_than_a_page_holds_by_default_take_one_call(v3: V3World) -> None:
    person = await v3.apply()
    for stage in ("Onsite", "Coding Assessment") * 51:
        await v3.move(person, stage)
    history = await v3.harvest.stage_history([person.application])
    assert len(history[person.application]) == 103
    assert len(await v3.sandbox.control("GET", "/calls?route=application_stages.list")) == 1


async def test_an_ignored_filter_is_noticed(v3: V3World) -> None:
    person, _other = await v3.apply(), await v3.apply()
    await v3.sandbox.fault("application_stages.list", "filter_ignored")
    with pytest.raises(TransientError, match="ignored the filter"):
        await v3.harvest.stage_history([person.application])
