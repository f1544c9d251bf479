"""The key ring: seals data under keys that rotate, hashes addresses, signs service tokens.

The file is JSON: `{"keys": [{"id", "key"}], "address_hash_key", "service_token_keys": [{"id", "key"}]}`,
keys base64 of 32 bytes, newest first. AES-256-GCM with a random 96-bit nonce; what a blob belongs to
(account, table, column, row) is its associated data, so a blob copied to another row does not open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError

_VERSION = b"\x01"


class UnreadableError(PermanentError):
    """A sealed value cannot be opened: its key is gone, or it belongs to another place."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A 32-byte key and the id under which blobs name it."""

    id: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of an installation, newest first in each list."""

    keys: tuple[NamedKey, ...]
    address_hash_key: bytes
    service_token_keys: tuple[NamedKey, ...]

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Return the ring in the file at *path*.

        Raises:
            PermanentError: The file is missing or not of the shape above; no key is in the message.
        """
        try:
            raw = json.loads(path.read_text())
            return cls(
                keys=_named(raw["keys"]),
                address_hash_key=_key(raw["address_hash_key"]),
                service_token_keys=_named(raw["service_token_keys"]),
            )
        except OSError as error:
            raise PermanentError(f"the key ring {path} cannot be read ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError):
            raise PermanentError(
                f"the key ring {path} is not of its shape; `trellis keys generate` prints a fresh one"
            ) from None

    @classmethod
    def generate(cls) -> Keyring:
        """Return a ring of fresh random keys."""
        return cls(
            keys=(NamedKey("k1", os.urandom(32)),),
            address_hash_key=os.urandom(32),
            service_token_keys=(NamedKey("s1", os.urandom(32)),),
        )

    def to_json(self) -> str:
        """Return the text of the ring's file. It is a secret."""

        def listed(keys: tuple[NamedKey, ...]) -> list[dict[str, str]]:
            return [{"id": item.id, "key": base64.b64encode(item.key).decode()} for item in keys]

        return json.dumps(
            {
                "keys": listed(self.keys),
                "address_hash_key": base64.b64encode(self.address_hash_key).decode(),
                "service_token_keys": listed(self.service_token_keys),
            },
            indent=2,
        )

    def seal(self, plain: bytes, place: str) -> bytes:
        """Return *plain* sealed under the newest key, bound to *place*."""
        newest = self.keys[0]
        return self.header(newest) + encrypt(newest.key, plain, place)

    def header(self, key: NamedKey) -> bytes:
        """Return what everything sealed under *key* begins with."""
        name = key.id.encode()
        return _VERSION + bytes([len(name)]) + name

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what *sealed* holds.

        Raises:
            UnreadableError: Its key is not on the ring, or it was sealed for another place.
        """
        if sealed[:1] != _VERSION:
            raise UnreadableError("a sealed value is of an unknown version")
        end = 2 + sealed[1]
        name = sealed[2:end].decode(errors="replace")
        for item in self.keys:
            if item.id == name:
                return decrypt(item.key, sealed[end:], place)
        raise UnreadableError(f"key {name!r} is not on the key ring")

    def address_hash(self, account: AccountId, address: str) -> str:
        """Return the keyed hash by which an address is matched within *account*: 64 hexadecimal digits.

        The address is lower-cased and trimmed, nothing else (coderbyte fact sheet, 6.6).
        """
        account_key = hmac.digest(self.address_hash_key, f"account:{account}".encode(), hashlib.sha256)
        return hmac.new(account_key, address.strip().lower().encode(), hashlib.sha256).hexdigest()


def encrypt(key: bytes, plain: bytes, place: str) -> bytes:
    """Return nonce and AES-256-GCM text of *plain*, bound to *place*."""
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.encode())


def decrypt(key: bytes, sealed: bytes, place: str) -> bytes:
    """Return what `encrypt` sealed.

    Raises:
        UnreadableError: Another key or another place.
    """
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], place.encode())
    except (InvalidTag, ValueError):
        raise UnreadableError("a sealed value does not open with its key in this place") from None


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError("not 32 bytes")
    return key


def _named(items: list[dict[str, str]]) -> tuple[NamedKey, ...]:
    if not items:
        raise ValueError("empty")
    return tuple(NamedKey(item["id"], _key(item["key"])) for item in items)
