"""Finds the services that are installed, by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from trellis.common.errors import PermanentError
from trellis.common.runtime.service import Service

GROUP = "trellis.services"


def installed() -> list[str]:
    """Return the names of the installed services."""
    return sorted(point.name for point in entry_points(group=GROUP))


def load(name: str) -> Service:
    """Return the service called *name*.

    Raises:
        PermanentError: No such service is installed.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            service = point.load()
            if isinstance(service, Service):
                return service
    raise PermanentError(f"no service {name!r} is installed; there are: {', '.join(installed())}")
