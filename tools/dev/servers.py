"""The private servers, as `./dev` and the tests use them: one name each, and the pair a test run shares."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.dev.paths import private_folder
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease
from tools.dev.rabbitmq import RabbitServer

__all__ = ["PostgresServer", "RabbitServer", "Servers", "shared_servers"]


@dataclass(frozen=True)
class Servers:
    """A PostgreSQL and a RabbitMQ that are used together."""

    postgres: PostgresServer
    rabbitmq: RabbitServer

    def test_environment(self) -> dict[str, str]:
        """Return the variables by which the tests and benches find the two."""
        return {
            "TRELLIS_TEST_POSTGRES_URL": self.postgres.url,
            "TRELLIS_TEST_RABBITMQ_URL": self.rabbitmq.url,
            "TRELLIS_TEST_RABBITMQ_MANAGEMENT_URL": self.rabbitmq.management_url,
        }


@contextlib.contextmanager
def shared_servers(folder: Path, *, durable: bool = False) -> Iterator[Servers]:
    """Give a pair of running servers in *folder* that all who ask at the same time share.

    They end with the last of those, also when that one is killed.
    """
    lease = Lease(folder)
    servers = Servers(
        PostgresServer(folder / "postgres", lease=lease, durable=durable),
        RabbitServer(folder / "rabbitmq", lease=lease),
    )
    try:
        with lease:
            with alone(folder):
                servers.rabbitmq.start()
                servers.postgres.start()
            yield servers
    finally:
        with alone(folder), lease.if_unused() as unused:
            if unused:
                servers.postgres.stop()
                # What tests leave in it is never needed again, and an orderly end takes it seconds.
                servers.rabbitmq.kill()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep every other `./dev` from starting or stopping something in *folder* meanwhile."""
    descriptor = os.open(private_folder(folder) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
