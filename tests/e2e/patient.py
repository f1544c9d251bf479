"""A tenant whose set-up is broken on purpose and looked at by `trellis doctor`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg
from click.testing import CliRunner
from tests.e2e.conftest import Tenant

from trellis.cli import doctor
from trellis.cli.main import cli
from trellis.common.bus.topology import management_of

Found = list[tuple[str, str]]


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
