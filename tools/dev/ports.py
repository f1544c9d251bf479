"""Free ports of 127.0.0.1, chosen once and kept, so that a restarted server is found where it was."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

_LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000


def port_range() -> range:
    """Return ports no outgoing connection is given.

    A port from the kernel's own range could be taken by any program's connection while a server of ours
    is being restarted.
    """
    lowest_outgoing = 32_768
    with contextlib.suppress(OSError, ValueError, IndexError):
        lowest_outgoing = int(_LOCAL_RANGE.read_text(encoding="ascii").split()[0])
    if lowest_outgoing >= _LOWEST + 5_000:
        return range(_LOWEST, lowest_outgoing)
    return range(_LOWEST, 65_000)


def is_free(port: int) -> bool:
    """Say whether a server could listen on *port* of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def free_port(taken: Iterable[int] = ()) -> int:
    """Return a random free port that is none of *taken*.

    Random rather than the lowest, so that two checkouts choosing at the same moment do not collide.

    Raises:
        OSError: No free port was found in many tries.
    """
    candidates, unwanted = port_range(), set(taken)
    for _ in range(1_000):
        port = secrets.choice(candidates)
        if port not in unwanted and is_free(port):
            return port
    raise OSError(f"no free port of 127.0.0.1 between {candidates.start} and {candidates.stop}")


class PortBook:
    """The ports of one folder by name, kept in its `ports.json`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ports.json"

    def get(self, name: str) -> int:
        """Return the port kept for *name*, choosing and keeping a free one the first time."""
        known = self._read()
        if name not in known:
            known[name] = free_port(known.values())
            self._write(known)
        return known[name]

    def replace(self, name: str) -> int:
        """Choose another port for *name*, since some other program listens on the kept one."""
        known = self._read()
        known[name] = free_port(known.values())
        self._write(known)
        return known[name]

    def _read(self) -> dict[str, int]:
        try:
            return {str(name): int(port) for name, port in json.loads(self._file.read_text("utf-8")).items()}
        except (OSError, ValueError):
            return {}

    def _write(self, ports: dict[str, int]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".part")
        partial.write_text(json.dumps(ports, indent=1), "utf-8")
        partial.replace(self._file)
