"""The connection of an account to Coderbyte, on PostgreSQL and on the twins."""

from __future__ import annotations

from tests.contract.stores.assessments.kept import ACME, GLOBEX, ORGANIZATION, Kept


class TestConnections:
    async def test_an_account_has_its_connection_or_none(self, kept: Kept) -> None:
        assert await kept.organizations.load(ACME) == ORGANIZATION
        assert await kept.organizations.load(GLOBEX) is None
