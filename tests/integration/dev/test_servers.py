"""The private servers come up, come back at the same place, and leave nothing behind, whatever ends them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.dev.process import Lease
from tools.dev.servers import PostgresServer, RabbitServer, Servers, shared_servers

ROOT = Path(__file__).resolve().parents[3]


def processes_of(folder: Path) -> dict[int, str]:
    """Return the processes that name *folder* on their command line, in their environment or as their place."""
    places = [str(place).encode() for place in (folder, *(link.resolve() for link in folder.rglob("*-elsewhere")))]
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) in {os.getpid(), os.getppid()}:
            continue
        try:
            traces = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            traces += str((process / "cwd").readlink()).encode()
        except OSError:
            continue
        if any(place in traces for place in places):
            found[int(process.name)] = (process / "cmdline").read_bytes().decode(errors="replace")
    return found


def assert_gone(folder: Path, *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder) == {}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    with Lease(folder) as lease:
        pair = Servers(
            PostgresServer(folder / "postgres", lease=lease, durable=False),
            RabbitServer(folder / "rabbitmq", lease=lease),
        )
        pair.rabbitmq.start()
        pair.postgres.start()
        yield pair
        pair.rabbitmq.kill()
        pair.postgres.kill()
    assert_gone(folder)


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("name", ["postgres", "rabbitmq"])
def test_a_server_comes_back_at_the_same_address_and_without_leftovers(servers: Servers, name: str, end: str) -> None:
    server: PostgresServer | RabbitServer = getattr(servers, name)
    server.start()
    url, first = server.url, server.pid
    getattr(server, end)()
    assert server.pid is None
    assert processes_of(server.folder) == {}
    server.start()
    assert (server.url, server.pid is not None) == (url, True)
    assert server.pid != first


def test_a_server_killed_from_outside_takes_its_helpers_along(servers: Servers) -> None:
    servers.rabbitmq.start()
    assert servers.rabbitmq.pid is not None
    os.kill(servers.rabbitmq.pid, signal.SIGKILL)
    assert_gone(servers.rabbitmq.folder, seconds=5)
    servers.rabbitmq.start()


def test_starting_a_running_server_changes_nothing(servers: Servers) -> None:
    servers.postgres.start()
    before = servers.postgres.pid
    PostgresServer(servers.postgres.folder).start()
    assert servers.postgres.pid == before


def test_a_virtual_host_can_be_made_twice_and_removed_twice(servers: Servers) -> None:
    servers.rabbitmq.start()
    for _ in range(2):
        servers.rabbitmq.create_vhost("a/b c")
    for _ in range(2):
        servers.rabbitmq.drop_vhost("a/b c")


_HOLDER = """
import sys, time
from pathlib import Path
from tools.dev.servers import shared_servers
with shared_servers(Path(sys.argv[1])) as servers:
    print(servers.postgres.pid, servers.rabbitmq.pid, flush=True)
    time.sleep(600)
"""


def hold(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, holder.stdout.readline()


def end(holder: "subprocess.Popen[str]", number: int) -> None:
    with holder:
        holder.send_signal(number)


def test_servers_shared_by_two_runs_end_with_the_last_even_when_that_is_killed(tmp_path: Path) -> None:
    first, pids = hold(tmp_path)
    second, same_pids = hold(tmp_path)
    try:
        assert pids == same_pids
        assert pids.split()[1].isdigit()
        end(first, signal.SIGTERM)
        time.sleep(1)
        assert int(pids.split()[0]) in processes_of(tmp_path)
    finally:
        end(first, signal.SIGKILL)
        end(second, signal.SIGKILL)
    assert_gone(tmp_path)


def test_servers_shared_by_nobody_any_more_are_gone_when_the_last_user_returns(tmp_path: Path) -> None:
    with shared_servers(tmp_path) as servers:
        assert servers.postgres.pid is not None
    assert processes_of(tmp_path) == {}
