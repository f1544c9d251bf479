"""What a person does by hand, by the commands, in the whole system."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.e2e.conftest import Tenant


async def completed(tenant: Tenant) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the result that matches nothing, once it is there, and all that does not."""
    async with asyncio.timeout(30):
        while True:
            rows = json.loads(await tenant.trellis("unmatched", "list", "--account", tenant.account, "--json"))
            if found := [row for row in rows if row["kind"] == "completed"]:
                return found[0], rows
            await asyncio.sleep(0.2)


async def test_a_result_under_another_address_is_attached_and_passes_and_nothing_is_sent_again(tenant: Tenant) -> None:
    account = ("--account", tenant.account)
    application = await tenant.applies("Pia")
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.person("join", email="pia.at.home@mail.example", public=True)
    await tenant.person("submit", email="pia.at.home@mail.example", final_score=88)
    result, rows = await completed(tenant)
    assert [item["application_id"] for item in result["suggestions"]] == [application]
    assert "mail.example" not in json.dumps(rows)
    attach = ("unmatched", "attach", result["id"], str(application), *account)
    assert "say --yes" in await tenant.trellis(*attach)
    await tenant.trellis(*attach, "--yes")
    await tenant.until_seen(application, notes=1, moves=1)
    (note,) = (await tenant.effects())["notes"]
    assert "88 of 100, qualified" in note["body"]
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 1}
    assert result["id"] not in await tenant.trellis("unmatched", "list", *account)
    assert "invite of stage visit" in await tenant.trellis("invite", "withdraw", str(application), *account)
