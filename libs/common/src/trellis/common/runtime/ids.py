"""UUIDv7: ids that sort by the time they were made, for what needs no stable id."""

from __future__ import annotations

import os
from uuid import UUID

from trellis.common.runtime.clock import utc_now


def uuid7() -> UUID:
    """Return a fresh UUIDv7 (RFC 9562, section 5.7)."""
    value = int(utc_now().timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
