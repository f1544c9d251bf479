"""Is this request signed with one of the live secrets? Pure: bytes, header, secrets and the time come in.

The tokens of Coderbyte are verified here by hand and not by a JWT library: such a library reads the clock
itself, refuses or warns about short keys, and knows many algorithms of which exactly one is allowed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from trellis.common.errors import PermanentError

KeyEncoding = Literal["utf8", "base64"]

LEEWAY_SECONDS: Final = 60
"""How far the vendor's clock may be off (coderbyte fact sheet, 4.1 point 5)."""
_MOST_TOKEN_BYTES: Final = 4096
_LATEST: Final = 1e15
"""Seconds after which no clock goes on; neither `NaN`, which is never past, nor a number of 400 digits is a time."""
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_BASE64URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class SignatureRejected(PermanentError):
    """The request is not signed with a live secret; the reason is one word, for our own log only."""


def verify_signature(body: bytes, headers: Sequence[str], secrets: Sequence[bytes]) -> int:
    """Return which of *secrets* signs *body*: its index.

    Args:
        body: The request body exactly as received; a re-encoded body does not verify.
        headers: All values of the `Signature` header: exactly one, `sha256`, one space, 64 hexadecimal
            digits; the word and the digits in any case.
        secrets: Current secrets; two during a rotation. Each is tried, so the time says nothing.

    Raises:
        SignatureRejected: The header is missing, doubled or malformed, or no secret matches.

    Source: Greenhouse recruiting webhooks, "Authentication"; greenhouse fact sheet, 2.2.
    """
    if len(headers) != 1:
        raise SignatureRejected("signature_missing" if not headers else "signature_doubled")
    scheme, _, digits = headers[0].partition(" ")
    if scheme.lower() != "sha256" or len(digits) != 64 or not _HEX.issuperset(digits):
        raise SignatureRejected("signature_malformed")
    claimed = bytes.fromhex(digits)
    found = [hmac.compare_digest(hmac.digest(secret, body, hashlib.sha256), claimed) for secret in secrets]
    if True not in found:
        raise SignatureRejected("signature_wrong")
    return found.index(True)


def verify_token(
    headers: Sequence[str],
    keys: Sequence[bytes],
    *,
    issuer: str,
    now: datetime,
    require_exp: bool = False,
) -> int:
    """Return which of *keys* signs the bearer token: its index. The token does not cover the body.

    Args:
        headers: All values of the `Authorization` header: exactly one, `Bearer` in any case and a JWT.
        keys: The accepted API keys, decoded by `key_bytes`; short ones are allowed.
        issuer: The organization id that the claim `iss` must equal.
        now: The present; `exp` and `nbf` are enforced with `LEEWAY_SECONDS` if they are there.
        require_exp: Refuse a token without `exp`.

    Raises:
        SignatureRejected: No or two headers, another algorithm than HS256, no key matches, or a claim
            does not hold.

    Source: coderbyte fact sheet, 4.1; RFC 7515, sections 4.1.11 and 5.2.
    """
    signing, claims, signature = _parts(_bearer(headers))
    found = [hmac.compare_digest(hmac.digest(key, signing, hashlib.sha256), signature) for key in keys]
    if True not in found:
        raise SignatureRejected("signature_wrong")
    if claims.get("iss") != issuer:
        raise SignatureRejected("issuer_wrong")
    at = now.timestamp()
    expires, begins = _numeric(claims, "exp"), _numeric(claims, "nbf")
    if expires is None and require_exp:
        raise SignatureRejected("expiry_missing")
    if expires is not None and at >= expires + LEEWAY_SECONDS:
        raise SignatureRejected("token_expired")
    if begins is not None and at < begins - LEEWAY_SECONDS:
        raise SignatureRejected("token_early")
    return found.index(True)


def key_bytes(key: str, encoding: KeyEncoding) -> bytes:
    """Return the bytes of an API key as they enter the HMAC.

    Raises:
        PermanentError: The key is not base64 though the setting says so.
    """
    if encoding == "utf8":
        return key.encode()
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise PermanentError("the key is not base64") from None


def _bearer(headers: Sequence[str]) -> str:
    if len(headers) != 1:
        raise SignatureRejected("signature_missing" if not headers else "signature_doubled")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MOST_TOKEN_BYTES:
        raise SignatureRejected("signature_malformed")
    return token


def _parts(token: str) -> tuple[bytes, dict[str, object], bytes]:
    """Return the signed bytes, the claims and the signature of an HS256 token."""
    segments = token.split(".")
    if len(segments) != 3:
        raise SignatureRejected("signature_malformed")
    head, claims = _json(segments[0]), _json(segments[1])
    if head.get("alg") != "HS256" or "crit" in head:
        raise SignatureRejected("algorithm_refused")
    return f"{segments[0]}.{segments[1]}".encode(), claims, _base64url(segments[2])


def _json(segment: str) -> dict[str, object]:
    try:
        value = json.loads(_base64url(segment))
    except (ValueError, RecursionError):
        raise SignatureRejected("signature_malformed") from None
    if not isinstance(value, dict):
        raise SignatureRejected("signature_malformed")
    return value


def _base64url(segment: str) -> bytes:
    if not _BASE64URL.issuperset(segment) or len(segment) % 4 == 1:
        raise SignatureRejected("signature_malformed")
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise SignatureRejected("signature_malformed")  # unused bits set: two texts for one value
    return decoded


def _numeric(claims: dict[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LATEST <= value <= _LATEST:
        raise SignatureRejected("claim_malformed")
    return float(value)
