"""The pool and the translation of asyncpg's exceptions into ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.store.tenancy import served

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

_CONFLICTS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.UniqueViolationError,
)
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidAuthorizationSpecificationError,
    OSError,
    TimeoutError,
)
_ABANDONED = {
    "idle_in_transaction_session_timeout": "60000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""After how long the server ends a session whose client is gone. A machine that loses its power says no good-bye:
by the kernel's own settings its transaction would keep rows locked, which every worker skips, for two hours."""


async def open_pool(
    url: str, *, name: str, size: int = 8, schema: str | None = None, command_timeout_seconds: float = 30.0
) -> Pool:
    """Return a pool of up to *size* connections; it connects when first used.

    Args:
        url: `postgresql://…`, of the service's own login role.
        name: Shown in `pg_stat_activity`.
        size: Most connections; summed over all replicas it must stay below `max_connections`.
        schema: Set as search path; None when the role's own setting is enough.
        command_timeout_seconds: A statement longer than this is cancelled.

    Raises:
        StoreAwayError: The address or the credentials cannot be used.
    """
    settings = {"application_name": name, **_ABANDONED}
    if schema is not None:
        settings["search_path"] = schema
    async with translated():
        return await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            command_timeout=command_timeout_seconds,
            timeout=5.0,
            server_settings=settings,
            max_inactive_connection_lifetime=300.0,
        )


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn asyncpg's exceptions into ours.

    Raises:
        ConflictError: Another writer was first; the transaction may be tried again.
        StoreAwayError: The database is away. A commit that was cut may have happened: the inbox and
            the primary keys make the repeat harmless.
    """
    try:
        yield
    except _CONFLICTS as error:
        detail = getattr(error, "constraint_name", None) or error.sqlstate
        raise ConflictError(f"another writer was first ({detail})") from error
    except _AWAY as error:
        raise StoreAwayError(f"the database is away ({type(error).__name__})") from error


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run the block in one READ COMMITTED transaction, bound to the account served, exceptions translated."""
    async with translated(), pool.acquire(timeout=10.0) as connection, connection.transaction():
        account = served()
        if account is not None:
            # For this transaction only: what a session keeps, the next user of a pooled connection inherits.
            await connection.execute("select set_config('trellis.account', $1, true)", account)
        yield connection


@asynccontextmanager
async def acquired(pool: Pool) -> AsyncIterator[Connection]:
    """Run the block on one connection, each statement its own transaction, exceptions translated.

    While one account is served the block is one transaction, since nothing shorter can be bound to it.
    """
    if served() is not None:
        async with transaction(pool) as connection:
            yield connection
        return
    async with translated(), pool.acquire(timeout=10.0) as connection:
        yield connection
