"""The HTTP handler: the only place that answers a vendor.

Exactly 200 means that the webhook is safe or needs nothing: confirmed by the broker, in the spool, kept for
a person, or of no use to us. Whatever a later delivery could mend is answered 503, since Greenhouse takes
all but 200 for a failure and delivers again (greenhouse fact sheet, 2.4).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from aiohttp import hdrs, web

from trellis.common.contracts.envelope import Envelope
from trellis.common.errors import TransientError
from trellis.common.runtime.clock import Clock
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.ingest.adapters.sealed_bodies import KeptBody
from trellis.ingest.delivery import Outlet
from trellis.ingest.endpoints import Endpoint, Endpoints, LiveSecret, Vendor
from trellis.ingest.listener import BoundedHandler
from trellis.ingest.record import Answer, Outcome, Recorder
from trellis.ingest.signature import SignatureRejected, verify_signature, verify_token
from trellis.ingest.translation import Delivery, delivery_id, signal_kind, to_facts, to_signal
from trellis.ingest.webhooks import UnreadableBody, parse_coderbyte, parse_greenhouse

RETRY_AFTER_SECONDS: Final = 60
_MOST_EVENT_ID_CHARACTERS: Final = 200


class Bodies(Protocol):
    """Where bodies are kept."""

    async def put(self, kept: KeptBody) -> None:
        """Seal and store; when this returns it is committed.

        Raises:
            StoreAwayError: It could not be kept in time.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one webhook may take.

    Attributes:
        body_bytes: Largest body.
        read_seconds: Longest time from the first byte of a request to its last.
        in_flight: Most webhooks in hand at once.
    """

    body_bytes: int
    read_seconds: float
    in_flight: int


class _Refused(Exception):
    """The request is answered with *answer* and has no effect."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class Receiver:
    """Receives the webhooks of both vendors.

    Args:
        endpoints: Whose webhook is it?
        outlet: Where facts go.
        bodies: Where bodies are kept.
        keyring: Hashes addresses.
        clock: Tells when a webhook came.
        limits: What one may take.
        recorder: Counts and logs the answers.
        note_use: Told of each authentic webhook: endpoint, secret, time.
        note_refusal: Told of each one whose token is known and which is answered 401: endpoint, reason, time.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        outlet: Outlet,
        bodies: Bodies,
        keyring: Keyring,
        clock: Clock,
        limits: Limits,
        recorder: Recorder,
        note_use: Callable[[UUID, UUID, datetime], None],
        note_refusal: Callable[[UUID, str, datetime], None],
    ) -> None:
        self._endpoints = endpoints
        self._outlet = outlet
        self._bodies = bodies
        self._keyring = keyring
        self._clock = clock
        self._limits = limits
        self._recorder = recorder
        self._note_use = note_use
        self._note_refusal = note_refusal
        self._in_flight_count = 0

    def add_routes(self, app: web.Application) -> None:
        """Serve `/webhooks/greenhouse/{endpoint_token}` and `/webhooks/coderbyte/{endpoint_token}`."""
        for vendor in Vendor:
            app.router.add_post(route_of(vendor), self._handler(vendor))

    def _handler(self, vendor: Vendor) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def receive(request: web.Request) -> web.Response:
            """Take one webhook: 200 once it is confirmed or kept; 503 asks for it again."""
            return await self.receive_webhook(request, vendor)

        return receive

    async def receive_webhook(self, request: web.Request, vendor: Vendor) -> web.Response:
        """Answer one webhook of *vendor*: 200 only when nothing is left that a repeat could mend."""
        started = asyncio.get_running_loop().time()
        if self._in_flight_count >= self._limits.in_flight:
            answer = Answer(vendor=vendor, status=503, outcome=Outcome.OVERLOADED, reason="too many at once")
        else:
            self._in_flight_count += 1
            try:
                answer = await self._receive(request, vendor)
            except _Refused as refused:
                answer = refused.answer
            finally:
                self._in_flight_count -= 1
        if answer.status == 401 and answer.endpoint is not None:
            self._note_refusal(answer.endpoint, answer.reason, self._clock.now())
        self._recorder.record(answer, route=route_of(vendor), seconds=asyncio.get_running_loop().time() - started)
        return _response(answer)

    async def _receive(self, request: web.Request, vendor: Vendor) -> Answer:
        self._check_head(request, vendor)
        token = request.match_info["endpoint_token"]
        try:
            endpoint = await self._endpoints.find(vendor, token)
        except TransientError as error:
            raise _Refused(_unavailable(vendor, str(error))) from None
        if endpoint is None:
            raise _Refused(_unauthorized(vendor, "token_unknown"))
        body = await self._read(request, endpoint)
        received_at = self._clock.now()
        endpoint, secret = await self._authenticated(request, endpoint, token, body, received_at)
        webhook = _Webhook(endpoint, body, received_at, _delivery(request, endpoint, body, received_at))
        answer = await self._take(webhook)
        if answer.status != 401:
            self._note_use(endpoint.id, secret.id, received_at)
        return answer

    async def _take(self, webhook: _Webhook) -> Answer:
        """Do what an authentic webhook asks for."""
        try:
            if webhook.endpoint.vendor is Vendor.GREENHOUSE:
                return await self._take_greenhouse(webhook)
            return await self._take_coderbyte(webhook)
        except UnreadableBody as fault:
            return await self._keep_unreadable(webhook, fault)
        except TransientError as error:
            return webhook.answer(503, Outcome.UNAVAILABLE, reason=str(error))

    def _check_head(self, request: web.Request, vendor: Vendor) -> None:
        """Refuse by the head alone what would be refused anyway, before anything is looked up."""
        encodings = {value.strip().lower() for value in request.headers.getall(hdrs.CONTENT_ENCODING, [])}
        if encodings - {"", "identity"}:
            raise _Refused(
                Answer(vendor=vendor, status=415, outcome=Outcome.BAD_REQUEST, reason="content_encoding_refused")
            )
        if (request.content_length or 0) > self._limits.body_bytes:
            raise _Refused(Answer(vendor=vendor, status=413, outcome=Outcome.TOO_LARGE, reason="content_length"))

    async def _read(self, request: web.Request, endpoint: Endpoint) -> bytes:
        """Return the raw body; what the head says of its length is not trusted."""
        loop = asyncio.get_running_loop()
        connection = request.protocol
        began = connection.first_byte_at if isinstance(connection, BoundedHandler) else loop.time()
        seconds = endpoint.read_timeout_seconds or self._limits.read_seconds
        body = bytearray()
        try:
            if request.content.is_eof():  # nothing to wait for, as with most webhooks
                whole = request.content.read_nowait()
                if len(whole) > self._limits.body_bytes:
                    raise _Refused(_of(endpoint, 413, Outcome.TOO_LARGE, "body"))
                return whole
            async with asyncio.timeout_at(began + seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._limits.body_bytes:
                        raise _Refused(_of(endpoint, 413, Outcome.TOO_LARGE, "body"))
        except TimeoutError:
            connection.force_close()
            raise _Refused(_of(endpoint, 408, Outcome.TIMED_OUT, "not wholly received in time")) from None
        except (web.RequestPayloadError, ConnectionError):
            raise _Refused(_of(endpoint, 400, Outcome.BAD_REQUEST, "cut or malformed body")) from None
        return bytes(body)

    async def _authenticated(
        self, request: web.Request, endpoint: Endpoint, token: str, body: bytes, now: datetime
    ) -> tuple[Endpoint, LiveSecret]:
        """Return the endpoint and the secret that signs the request.

        A secret may be newer than what is remembered: before a refusal the endpoint is read again.
        """
        try:
            return endpoint, _signer(request, endpoint, body, now)
        except SignatureRejected:
            pass
        try:
            fresh = await self._endpoints.find_fresh(endpoint.vendor, token)
        except TransientError as error:
            raise _Refused(_unavailable(endpoint.vendor, str(error), endpoint)) from None
        if fresh is None:
            raise _Refused(_unauthorized(endpoint.vendor, "token_unknown"))
        try:
            return fresh, _signer(request, fresh, body, now)
        except SignatureRejected as rejected:
            if fresh.incomplete:  # the right secret may be the one that does not open
                raise _Refused(_unavailable(fresh.vendor, "a secret cannot be opened", fresh)) from None
            raise _Refused(_unauthorized(fresh.vendor, str(rejected), fresh)) from None

    async def _take_greenhouse(self, webhook: _Webhook) -> Answer:
        parsed = parse_greenhouse(webhook.body)
        if parsed.action == "ping":
            return webhook.answer(200, Outcome.PING, action="ping")
        facts = to_facts(parsed, webhook.delivery, webhook.endpoint.rules)
        if not facts:
            return webhook.answer(200, Outcome.DROPPED, reason="an action without use")
        return await self._deliver(webhook, facts, parsed.action)

    async def _take_coderbyte(self, webhook: _Webhook) -> Answer:
        parsed = parse_coderbyte(webhook.body)
        endpoint = webhook.endpoint
        if parsed.organization_id != endpoint.organization_id:
            return _unauthorized(endpoint.vendor, "organization_wrong", endpoint)
        if signal_kind(parsed.operation) is None:
            return webhook.answer(200, Outcome.DROPPED, reason="an operation without use")
        if not parsed.email:
            raise UnreadableBody("wrong_shape", "email: expected an address")
        address_hash = self._keyring.address_hash(endpoint.account, parsed.email)
        kept = webhook.kept(address_hash=address_hash)
        fact = to_signal(parsed, webhook.delivery, address_hash=address_hash, sealed_body_id=kept.id)
        await self._bodies.put(kept)
        return await self._deliver(webhook, [fact], parsed.operation)

    async def _deliver(self, webhook: _Webhook, facts: list[Envelope], action: str) -> Answer:
        delivered = await self._outlet.deliver(facts)
        return webhook.answer(200, Outcome(delivered.value), action=action, fact=facts[0])

    async def _keep_unreadable(self, webhook: _Webhook, fault: UnreadableBody) -> Answer:
        """Keep the body for a person: a retry would not make it readable."""
        try:
            await self._bodies.put(webhook.kept(fault.kind))
        except TransientError as error:
            return webhook.answer(503, Outcome.UNAVAILABLE, reason=str(error))
        return webhook.answer(200, Outcome.UNREADABLE, reason=fault.kind)


@dataclass(frozen=True, slots=True)
class _Webhook:
    """An authentic request."""

    endpoint: Endpoint
    body: bytes
    received_at: datetime
    delivery: Delivery

    def answer(
        self, status: int, outcome: Outcome, *, reason: str = "", action: str = "", fact: Envelope | None = None
    ) -> Answer:
        """Return the answer, with what the log line says of it."""
        return Answer(
            vendor=self.endpoint.vendor,
            status=status,
            outcome=outcome,
            reason=reason,
            account=self.endpoint.account,
            endpoint=self.endpoint.id,
            delivery=self.delivery.id,
            bytes_count=len(self.body),
            received_at=self.received_at,
            action=action,
            fact=fact,
        )

    def kept(self, fault: str | None = None, *, address_hash: str | None = None) -> KeptBody:
        """Return the body as it is to be kept."""
        return KeptBody(
            id=uuid7(),
            account=self.endpoint.account,
            vendor=self.endpoint.vendor,
            body=self.body,
            received_at=self.received_at,
            fault=fault,
            address_hash=address_hash,
        )


def route_of(vendor: Vendor) -> str:
    """Return the route of a vendor's webhooks, as it may be logged."""
    return f"/webhooks/{vendor}/{{endpoint_token}}"


def _signer(request: web.Request, endpoint: Endpoint, body: bytes, now: datetime) -> LiveSecret:
    live = endpoint.live(now)
    values = [secret.value for secret in live]
    if endpoint.vendor is Vendor.GREENHOUSE:
        return live[verify_signature(body, request.headers.getall("Signature", []), values)]
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    issuer = endpoint.organization_id or ""
    return live[verify_token(headers, values, issuer=issuer, now=now, require_exp=endpoint.require_exp)]


def _delivery(request: web.Request, endpoint: Endpoint, body: bytes, received_at: datetime) -> Delivery:
    digest = hashlib.sha256(body).hexdigest()
    event_ids = request.headers.getall("Greenhouse-Event-ID", [])
    is_usable = (
        endpoint.vendor is Vendor.GREENHOUSE
        and len(event_ids) == 1
        and event_ids[0].isascii()  # bytes that are no text become surrogates, of which no id can be made
        and 0 < len(event_ids[0].strip()) <= _MOST_EVENT_ID_CHARACTERS
    )
    fact_id = delivery_id(endpoint.id, event_ids[0].strip(), digest) if is_usable else uuid7()
    return Delivery(id=fact_id, account=endpoint.account, received_at=received_at, digest=digest)


def _of(endpoint: Endpoint, status: int, outcome: Outcome, reason: str) -> Answer:
    return Answer(
        vendor=endpoint.vendor,
        status=status,
        outcome=outcome,
        reason=reason,
        account=endpoint.account,
        endpoint=endpoint.id,
    )


def _unauthorized(vendor: Vendor, reason: str, endpoint: Endpoint | None = None) -> Answer:
    if endpoint is not None:
        return _of(endpoint, 401, Outcome.UNAUTHORIZED, reason)
    return Answer(vendor=vendor, status=401, outcome=Outcome.UNAUTHORIZED, reason=reason)


def _unavailable(vendor: Vendor, reason: str, endpoint: Endpoint | None = None) -> Answer:
    if endpoint is not None:
        return _of(endpoint, 503, Outcome.UNAVAILABLE, reason)
    return Answer(vendor=vendor, status=503, outcome=Outcome.UNAVAILABLE, reason=reason)


_TEXTS: Final = {
    200: "ok",
    400: "bad request",
    401: "unauthorized",
    408: "request timeout",
    413: "too large",
    415: "content encoding refused",
    503: "unavailable",
}


def _response(answer: Answer) -> web.Response:
    """Return what the vendor sees: nothing that tells one 401 from another."""
    headers = {hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)} if answer.status == 503 else None
    return web.Response(status=answer.status, text=_TEXTS[answer.status], headers=headers)
