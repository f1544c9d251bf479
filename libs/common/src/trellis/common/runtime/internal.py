"""The client of another service's internal HTTP API: questions, and brakes."""

from __future__ import annotations

from typing import Any

import aiohttp

from trellis.common.errors import InputError, PermanentError, TransientError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import issue


class ServiceAwayError(TransientError):
    """The service gave no answer at all."""


class InternalClient:
    """Calls one service.

    Args:
        session: A client session; its connections are shared.
        base_url: The service's address, `http://host:port`.
        audience: The service's name.
        caller: Our own name.
        keyring: Signs the token of each call.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, *, audience: str, caller: str, keyring: Keyring
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._audience = audience
        self._caller = caller
        self._keyring = keyring

    async def call(self, method: str, path: str, body: object | None = None, *, seconds: float = 10.0) -> Any:
        """Return the JSON answer to one request.

        Args:
            method: HTTP method.
            path: Path and query below the base address; ids only.
            body: Sent as JSON when not None.
            seconds: Longest wait.

        Raises:
            TransientError: The service is away (`ServiceAwayError`) or answered 5xx.
            InputError: It answered 400 or 422: what it says of the field is in the error.
            PermanentError: It answered another 4xx.
        """
        headers = {"Authorization": f"Bearer {issue(self._keyring, caller=self._caller, audience=self._audience)}"}
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=3),
            ) as answer:
                status = answer.status
                content = await answer.json() if answer.content_type == "application/json" else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServiceAwayError(f"{self._audience} cannot be reached ({type(error).__name__})") from error
        if status < 300:
            return content
        reason = content.get("error", "") if isinstance(content, dict) else ""
        if status in (400, 422):
            raise InputError(
                str(content.get("field", "body")),
                str(content.get("expected", reason)),
                str(content.get("remedy", "")),
            )
        if status >= 500:
            raise TransientError(f"{self._audience} answered {status}: {reason}")
        raise PermanentError(f"{self._audience} answered {status}: {reason}")
