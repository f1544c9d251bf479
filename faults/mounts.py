"""Filesystems that only this process and its children see, so that none is left when they end, however they do.

An ordinary user may have such a view in a user namespace of their own, where the kernel allows it; the user's
number stays the same in it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEW_MOUNTS = 0x0002_0000
_NEW_USER = 0x1000_0000
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def own_view(probe: Path) -> str:
    """Give this process a view of its own of the filesystems; return why it cannot have one, else nothing.

    To be called before there is a second thread. Tried in a child first, since half of it cannot be undone.

    Args:
        probe: A folder on which the child mounts something.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        words = _reason(probe)
        os.write(writer, words.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "r") as said:
        reason = said.read()
    os.waitpid(child, 0)
    if not reason:
        _enter()
    return reason


def mount_tmpfs(folder: Path, kilobytes: int) -> None:
    """Mount an empty filesystem of that size on *folder*.

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.mount(b"none", bytes(folder), b"tmpfs", 0, f"size={kilobytes}k,mode=755".encode()))


def unmount(folder: Path) -> None:
    """Take the filesystem off *folder* again; nothing happens if there is none."""
    _libc.umount2(bytes(folder), _DETACH)


def _reason(folder: Path) -> str:
    try:
        _enter()
        mount_tmpfs(folder, 64)
    except OSError as error:
        return f"{error.strerror}"
    return ""


def _enter() -> None:
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(_NEW_MOUNTS if uid == 0 else _NEW_MOUNTS | _NEW_USER))
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "ascii")
    _check(_libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None))


def _check(code: int) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
