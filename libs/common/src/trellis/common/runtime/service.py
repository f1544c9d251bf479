"""What a service tells the `trellis` command about itself; found by entry point `trellis.services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service.

    Attributes:
        name: `ingest`, `greenhouse-actions`, …
        schema: Its PostgreSQL schema.
        migrations: Packages with a `migrations` folder, in the order they are applied.
        run: Runs the service with an environment until it is told to stop.
    """

    name: str
    schema: str
    migrations: tuple[str, ...]
    run: Callable[[Mapping[str, str]], Awaitable[None]]
