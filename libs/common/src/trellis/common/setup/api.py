"""The two routes by which `trellis doctor` asks a service: about all, and about one account."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiohttp import web

from trellis.common.contracts.findings import INSTALLATION
from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.http import account_of, answer
from trellis.common.setup.watch import Watch

FINDINGS: Final = "/findings"
_NAME: Final = "{account:[a-z0-9][a-z0-9-]{0,62}}"


def add_routes(app: web.Application, watch: Watch, *, prefix: str = "/internal/v1") -> None:
    """Serve `GET {prefix}/findings` and `GET {prefix}/accounts/{account}/findings`: each looks now.

    Args:
        app: Its middleware guards the routes and tells faults.
        watch: Looks.
        prefix: Where the routes are, as *app* sees it.
    """

    async def told(account: AccountId) -> web.Response:
        findings = await watch.look(account)
        return answer({"at": utc_now(), "findings": [asdict(finding) for finding in findings]})

    async def of_all(_request: web.Request) -> web.Response:
        """Look now and tell the faults of the set-up that concern all accounts."""
        return await told(INSTALLATION)

    async def of_account(request: web.Request) -> web.Response:
        """Look now and tell the faults of one account's set-up."""
        return await told(account_of(request))

    app.router.add_get(f"{prefix}{FINDINGS}", of_all)
    app.router.add_get(f"{prefix}/accounts/{_NAME}{FINDINGS}", of_account)
