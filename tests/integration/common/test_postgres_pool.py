"""What the pool asks of the server for each of its sessions."""

from __future__ import annotations

from trellis.common.store.postgres import open_pool


async def test_the_server_soon_gives_up_a_client_that_vanished(database: str) -> None:
    pool = await open_pool(database, name="t", schema="t")
    idle, interval, count = [
        int(await pool.fetchval(f"select current_setting('tcp_keepalives_{name}')"))
        for name in ("idle", "interval", "count")
    ]
    await pool.close()
    assert 0 < idle + interval * count <= 30
