"""Asks `workflow` which accounts there are and what their live workflows name, for those who check the names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import TransientError
from trellis.common.runtime.internal import InternalClient

_DOCUMENTS: TypeAdapter[list[WorkflowDocument]] = TypeAdapter(list[WorkflowDocument])


class LiveWorkflows:
    """The workflows that are live, as their service tells them.

    Args:
        client: Of `workflow`.
    """

    def __init__(self, client: InternalClient) -> None:
        self._client = client
        self._accounts: list[AccountId] | None = None

    async def accounts(self) -> Sequence[AccountId]:
        """Return all accounts; while `workflow` is away those it told before.

        Raises:
            TransientError: It is away and never told any.
        """
        try:
            told = await self._client.call("GET", "/internal/v1/accounts")
        except TransientError:
            if self._accounts is None:
                raise
        else:
            self._accounts = [AccountId(str(name)) for name in told]
        return self._accounts

    async def of(self, account: AccountId) -> Sequence[WorkflowDocument]:
        """Return the live workflows of *account*.

        Raises:
            TransientError: `workflow` is away, or of a release whose workflows are not known here.
        """
        told: list[dict[str, Any]] = await self._client.call("GET", f"/internal/v1/accounts/{account}/workflows")
        try:
            return _DOCUMENTS.validate_python([item["document"] for item in told])
        except ValidationError:
            raise TransientError("workflow is of another release: what its workflows name cannot be read") from None
