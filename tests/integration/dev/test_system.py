"""A system of separate processes is started, found again, broken part by part, and gone afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tools.dev.console import Problem
from tools.dev.process import Lease
from tools.dev.servers import Servers, shared_servers
from tools.dev.system import System

FAKE = [sys.executable, str(Path(__file__).with_name("fake_trellis.py"))]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Return the pair that this run of the tests has already."""
    root = Path(__file__).resolve().parents[3]
    with shared_servers(root / ".dev/test") as pair:
        yield pair


@pytest.fixture
def system(servers: Servers, tmp_path: Path) -> Iterator[System]:
    name = f"dev_{os.getpid()}_{abs(hash(tmp_path)) % 10**8}"
    with Lease(tmp_path) as lease:
        system = System(
            tmp_path / "system",
            servers.postgres,
            servers.rabbitmq,
            database=name,
            vhost=name,
            sandbox=False,
            lease=lease,
            settings={"TRELLIS_LOG_LEVEL": "debug"},
            programs={"trellis": FAKE},
        )
        yield system
        system.kill_all()
        system.drop()


def test_all_services_run_and_are_ready_after_start_all(system: System) -> None:
    system.start_all()
    pids = {name: system.pid(name) for name in system.names}
    assert len({pid for pid in pids.values() if pid is not None}) == 4
    assert all(system.ready(name) for name in system.names)
    system.start_all()
    assert {name: system.pid(name) for name in system.names} == pids


def test_a_killed_service_comes_back_alone_at_the_same_address(system: System) -> None:
    system.start_all()
    url, other = system.admin_url("ingest"), system.pid("workflow")
    system.kill("ingest")
    assert (system.pid("ingest"), system.ready("ingest")) == (None, False)
    system.start("ingest")
    assert (system.admin_url("ingest"), system.pid("workflow")) == (url, other)


def test_a_service_that_ends_while_it_starts_is_reported_with_its_log(system: System) -> None:
    with pytest.raises(Problem, match=r"ingest \(see .*ingest\.log\): the process ended"):
        system.start("ingest", {"TRELLIS_FAILPOINT": "at-start"})
    system.start("ingest")


def test_a_service_killed_by_its_process_id_can_be_started_again(system: System) -> None:
    system.start("assessments")
    pid = system.pid("assessments")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    system.start("assessments")
    assert system.pid("assessments") not in {None, pid}


async def test_the_owner_may_make_roles_and_schemas_and_is_no_superuser(system: System) -> None:
    system.prepare()
    connection = await asyncpg.connect(system.variables()["TRELLIS_MIGRATE_DATABASE_URL"])
    try:
        await connection.execute("create schema something")
        assert not await connection.fetchval("select usesuper from pg_user where usename = current_user")
        assert await connection.fetchval("select rolcreaterole from pg_roles where rolname = current_user")
    finally:
        await connection.close()


def test_secrets_lie_in_files_only_their_owner_reads(system: System) -> None:
    system.variables()
    for path in [system.folder / "keyring.json", *system.folder.glob("*.password")]:
        assert path.stat().st_mode & 0o077 == 0


_CRASH = """
import os, sys
from pathlib import Path
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease
from tools.dev.rabbitmq import RabbitServer
from tools.dev.system import System
folder = Path(sys.argv[1])
lease = Lease(folder).__enter__()
system = System(folder, PostgresServer(folder / "p"), RabbitServer(folder / "r"), sandbox=False, lease=lease,
                programs={"trellis": sys.argv[2:]})
system.start("ingest")
print(system.pid("ingest"), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_service_ends_with_the_crashed_program_that_started_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _CRASH, str(tmp_path), *FAKE]
    root = Path(__file__).resolve().parents[3]
    crashed = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    assert crashed.returncode == -signal.SIGKILL
    process = Path(f"/proc/{int(crashed.stdout)}")
    for _ in range(100):
        if not process.exists():
            return
        signal.sigtimedwait((), 0.1)
    pytest.fail("the service outlived the program that started it")
