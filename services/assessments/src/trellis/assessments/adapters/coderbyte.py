"""Coderbyte's REST API: the port, and the client that speaks it over HTTP.

Reads keep their connections and may be repeated; an invite has a connection of its own that is closed
afterwards, is never repeated here, and its outcome is returned as what was seen of it. No URL is ever
logged: the candidate's address is part of it.

Source: Coderbyte fact sheet, sections 1 and 3; patterns.md, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final, Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from trellis.assessments.domain.invites import (
    CREDENTIAL_REMEDY,
    Answered,
    Assessment,
    InviteRequest,
    Lost,
    NeverLeft,
    Seen,
    parse_assessments,
    parse_retry_after,
    success_data,
    to_body,
)
from trellis.assessments.domain.options import Options
from trellis.assessments.domain.results import as_text
from trellis.common.contracts.identifiers import AccountId, AssessmentId
from trellis.common.errors import PermanentError, TransientError, VendorAwayError
from trellis.common.runtime.clock import utc_now

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 30.0
MOST_BYTES: Final = 8 * 1024 * 1024
"""Longest answer that is read; a report with many open answers is some 100 KB."""

RawReport = Mapping[str, object]


class CredentialError(PermanentError):
    """The API key was rejected: nothing was done, and the connection pauses."""

    remedy = CREDENTIAL_REMEDY


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """One account's connection to its Coderbyte organization.

    Attributes:
        base_url: Where the API is, `https://coderbyte.com/api`.
        revision: Counts the changes of the connection; what is cached of an older one is stale.
    """

    account: AccountId
    base_url: str
    organization_id: str
    api_key: str = field(repr=False)
    options: Options
    revision: int = 1


class Coderbyte(Protocol):
    """What Trellis asks of Coderbyte.

    The three reads raise `CredentialError` when the key is rejected and `TransientError` for everything
    else that gives no readable answer; a person the vendor does not know is an empty answer.
    """

    async def assessments(self, organization: Organization) -> tuple[Assessment, ...]:
        """Return all assessments of the organization (3.1)."""

    async def listed(self, organization: Organization, address: str) -> frozenset[AssessmentId]:
        """Return the assessments that are listed for *address* (3.3)."""

    async def reports(
        self, organization: Organization, address: str, assessment_id: AssessmentId
    ) -> tuple[RawReport, ...]:
        """Return one report per attempt of *address* (3.4), as the vendor tells it, in its order."""

    async def invite(self, organization: Organization, request: InviteRequest) -> Seen:
        """Make one invite (3.2) and return what was seen of it; it never raises and never repeats."""


class HttpCoderbyte:
    """The port over HTTP.

    Args:
        reads: Session of the reads.
        writes: Session of the invites, whose connections are not kept.
    """

    def __init__(self, reads: aiohttp.ClientSession, writes: aiohttp.ClientSession) -> None:
        self._reads = reads
        self._writes = writes

    @classmethod
    def open(cls, *, request_seconds: float | None = None) -> HttpCoderbyte:
        """Return a client with its sessions; call it inside a running loop, and `close` it.

        Args:
            request_seconds: Longest time one call may take, connecting included; None is 30.
        """
        total = TOTAL_SECONDS if request_seconds is None else request_seconds
        timeout = aiohttp.ClientTimeout(total=total, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
        reads = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=50, keepalive_timeout=15),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        writes = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=50, force_close=True),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[_departure_trace()],
        )
        return cls(reads, writes)

    async def close(self) -> None:
        """Close both sessions."""
        await self._reads.close()
        await self._writes.close()

    async def assessments(self, organization: Organization) -> tuple[Assessment, ...]:
        """See `Coderbyte.assessments`."""
        data = await self._read(organization, organization.options.paths.assessments)
        entries = data.get("assessments") if isinstance(data, Mapping) else None
        if not isinstance(entries, list):
            raise TransientError("Coderbyte's list of assessments is not readable")
        return parse_assessments(entries)

    async def listed(self, organization: Organization, address: str) -> frozenset[AssessmentId]:
        """See `Coderbyte.listed`; accepts `data.assessments[]` and `data[]` (two revisions of one client)."""
        path = organization.options.paths.candidate.replace("{email}", segment(address))
        data = await self._read(organization, path, missing=[])
        entries = data.get("assessments", []) if isinstance(data, Mapping) else data
        if not isinstance(entries, list):
            raise TransientError("Coderbyte's list of the candidate's assessments is not readable")
        tests = [as_text(entry.get("test_id")) for entry in entries if isinstance(entry, Mapping)]
        return frozenset(AssessmentId(test) for test in tests if test is not None)

    async def reports(
        self, organization: Organization, address: str, assessment_id: AssessmentId
    ) -> tuple[RawReport, ...]:
        """See `Coderbyte.reports`; an empty array may stand for an empty object."""
        path = organization.options.paths.report.replace("{assessment_id}", segment(assessment_id))
        data = await self._read(organization, path.replace("{email}", segment(address)), missing={})
        entries = data.get("reports") if isinstance(data, Mapping) else data
        if entries is None or entries == {}:
            return ()
        if not isinstance(entries, list):
            raise TransientError("Coderbyte's reports are not readable")
        return tuple(entry for entry in entries if isinstance(entry, Mapping))

    async def invite(self, organization: Organization, request: InviteRequest) -> Seen:
        """See `Coderbyte.invite`."""
        trace = SimpleNamespace(left=False)
        try:
            async with self._writes.post(
                URL(organization.base_url + organization.options.paths.invite, encoded=True),
                json=to_body(request),
                headers=_headers(organization),
                allow_redirects=False,
                trace_request_ctx=trace,
            ) as answer:
                return Answered(
                    status=answer.status,
                    body=await _limited(answer),
                    retry_after=answer.headers.get("Retry-After"),
                    request_id=_request_id(answer),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            said = type(error).__name__
            return Lost(reason=said) if trace.left else NeverLeft(reason=said)

    async def _read(self, organization: Organization, path: str, *, missing: object | None = None) -> object:
        """Return `data` of the answer to one GET; *missing* is what a 404 stands for, None when it is a fault."""
        try:
            async with self._reads.get(
                URL(organization.base_url + path, encoded=True), headers=_headers(organization), allow_redirects=False
            ) as answer:
                status, wait = answer.status, parse_retry_after(answer.headers.get("Retry-After"), utc_now())
                body = await _limited(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise VendorAwayError(f"Coderbyte cannot be reached ({type(error).__name__})") from None
        if status in (401, 403):
            raise CredentialError(f"Coderbyte answered {status}: it rejects the API key")
        if status == 404 and missing is not None:
            return missing
        if not 200 <= status < 300:
            kind = VendorAwayError if status >= 500 else TransientError
            raise kind(f"Coderbyte answered {status} to a reading", retry_after=wait)
        data = success_data(body)
        if data is None:
            raise TransientError("Coderbyte's answer is not the body of a success")
        return data


def segment(value: str) -> str:
    """Return *value* percent-encoded as one path segment: `+`, `/`, `%` and `@` included."""
    return quote(value, safe="")


def _headers(organization: Organization) -> dict[str, str]:
    return {"Authorization": f"Bearer {organization.api_key}", "Accept": "application/json"}


def _request_id(answer: aiohttp.ClientResponse) -> str | None:
    value = answer.headers.get("X-Request-Id")
    return value if value is not None and len(value) <= 100 and value.isascii() and "@" not in value else None


async def _limited(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None when it is longer than `MOST_BYTES`."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            answer.close()
            return None
    return bytes(body)


def _departure_trace() -> aiohttp.TraceConfig:
    """Note in the request's own context whether its head was written: not set means that nothing left."""
    trace = aiohttp.TraceConfig()

    async def begun(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.left = False

    async def left(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.left = True

    trace.on_request_start.append(begun)
    trace.on_request_headers_sent.append(left)
    return trace
