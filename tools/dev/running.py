"""The one system of this checkout that `./dev up` keeps running, and what other commands do with it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.dev.bootstrap import ensure_environment
from tools.dev.compose import remove_containers
from tools.dev.console import Problem, say
from tools.dev.foreground import run
from tools.dev.identity import remove_elsewhere
from tools.dev.paths import DEV, ROOT, VENV, dev_folder
from tools.dev.postgres import PostgresServer
from tools.dev.programs import find_postgres
from tools.dev.rabbitmq import RabbitServer
from tools.dev.servers import alone
from tools.dev.system import SANDBOX, System

RUN = DEV / "run"
STATE = DEV / "state.json"

Server = PostgresServer | RabbitServer


class Running:
    """The checkout's system with its two servers, whether up or not.

    Args:
        sandbox: Whether the sandbox belongs to it; `None` for as it was last time.
    """

    def __init__(self, sandbox: bool | None = None) -> None:
        dev_folder()
        choice = RUN / "no-sandbox"
        if sandbox is not None:
            RUN.mkdir(parents=True, exist_ok=True)
            choice.unlink(missing_ok=True) if sandbox else choice.touch()
        self.postgres = PostgresServer(RUN / "postgres")
        self.rabbitmq = RabbitServer(RUN / "rabbitmq")
        self.servers: dict[str, Server] = {server.name: server for server in (self.postgres, self.rabbitmq)}
        self.system = System(RUN / "system", self.postgres, self.rabbitmq, sandbox=not choice.exists())

    def start(self) -> None:
        """Start what is missing; if that is interrupted or fails, what was started by it is stopped again."""
        before = self.up()
        try:
            for server in self.servers.values():
                server.start()
            self.system.start_all()
        except BaseException:
            for name in self.up() - before:
                self.stop_one(name)
            raise
        finally:
            self.write_state()

    def stop(self) -> None:
        """Stop everything, the servers last."""
        self.system.stop_all()
        for server in self.servers.values():
            server.stop()
        STATE.unlink(missing_ok=True)

    def start_one(self, name: str) -> None:
        """Start the service or server *name* unless it runs, and wait until it is ready."""
        self._check(name)
        if name in self.servers:
            self.servers[name].start()
        else:
            self.system.start(name)
        self.write_state()

    def stop_one(self, name: str) -> None:
        """Stop the service or server *name*."""
        self._check(name)
        if name in self.servers:
            self.servers[name].stop()
        else:
            self.system.stop(name)
        self.write_state()

    def _check(self, name: str) -> None:
        if name not in self.servers and name not in self.system.names:
            raise Problem(f"no part is called {name!r}; there are {', '.join([*self.system.names, *self.servers])}")

    def up(self) -> set[str]:
        """Return the names of what runs."""
        parts = {name for name in self.system.names if self.system.pid(name) is not None}
        return parts | {name for name, server in self.servers.items() if server.pid is not None}

    def log(self, name: str) -> Path:
        """Return the log file of the service or server *name*."""
        self._check(name)
        return self.servers[name].log if name in self.servers else self.system.log(name)

    def write_state(self) -> None:
        """Write `.dev/state.json` for programs that want to find the parts; a part that is down has no pid."""
        partial = STATE.with_suffix(".part")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(self.state(), indent=2) + "\n", "utf-8")
        partial.replace(STATE)

    def state(self) -> dict[str, object]:
        """Return pid and addresses of every part."""
        system = self.system
        services = {
            name: {
                "pid": system.pid(name),
                "url": system.url(name),
                "metrics_url": None if name == SANDBOX else f"{system.admin_url(name)}/metrics",
            }
            for name in system.names
        }
        return {
            "services": services,
            "postgres": {"pid": self.postgres.pid, "url": self.postgres.database_url(system.database)},
            "rabbitmq": {"pid": self.rabbitmq.pid, "url": self.rabbitmq.vhost_url(system.vhost)},
        }


def up(*, sandbox: bool) -> int:
    """Start what is missing of the checkout's system and print where it is."""
    ensure_environment()
    with alone(RUN):
        system = Running(sandbox)
        say("starting what is not running yet")
        system.start()
    for name in system.system.names:
        print(f"{name:<20} {system.system.url(name)}")
    management = system.rabbitmq.management_url.rpartition("@")[2]
    print(f"{'RabbitMQ':<20} http://{management} (user trellis, password in {RUN.relative_to(ROOT)}/rabbitmq/password)")
    print(f"{'PostgreSQL':<20} ./dev psql")
    return 0


def down() -> int:
    """Stop the checkout's system and its servers."""
    with alone(RUN):
        Running().stop()
    say("everything is down")
    return 0


def start(name: str) -> int:
    """Start one part of the checkout's system."""
    ensure_environment()
    with alone(RUN):
        Running().start_one(name)
    return 0


def stop(name: str) -> int:
    """Stop one part of the checkout's system."""
    with alone(RUN):
        Running().stop_one(name)
    return 0


def logs(names: Sequence[str], *, follow: bool) -> int:
    """Print the last lines of the logs of *names*, of everything if there are none."""
    system = Running()
    wanted = names or [*system.system.names, *system.servers]
    files = [str(path) for path in map(system.log, wanted) if path.exists()]
    if not files:
        raise Problem("nothing was logged yet; ./dev up starts the system")
    return run(["tail", "-n", "100", *(["-F"] if follow else []), *files], os.environ)


def psql(arguments: Sequence[str]) -> int:
    """Run psql on the system's database as its superuser."""
    system = _running()
    programs = find_postgres()
    own = programs.bin / "psql" if programs else Path("psql")
    program = str(own) if own.exists() else shutil.which("psql")
    if program is None:
        raise Problem("there is no psql; apt-get install postgresql-client")
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(system.postgres.port), "PGUSER": "postgres"}
    where |= {"PGDATABASE": system.system.database, "PGPASSWORD": system.postgres.password}
    return run([program, *arguments], {**os.environ, **(programs.environment() if programs else {}), **where})


def trellis(arguments: Sequence[str]) -> int:
    """Run the `trellis` command against the checkout's system, from the folder we were called in."""
    system = _running()
    ensure_environment()
    return run([str(VENV / "bin/trellis"), *arguments], system.system.environment(), cwd=Path.cwd())


def variables() -> dict[str, str]:
    """Return the environment of the checkout's running system."""
    return _running().system.variables()


def clean() -> int:
    """Stop everything and remove the servers' folders, wherever their data lies."""
    with alone(RUN):
        Running().stop()
    remove_containers(DEV)
    remove_elsewhere(DEV)
    for folder in (RUN, DEV / "test", DEV / "bench", DEV / "faults", *DEV.glob("demo-*")):
        shutil.rmtree(folder, ignore_errors=True)
    say(f"removed what lay in {DEV.relative_to(ROOT)}; .venv and the unpacked packages stay")
    return 0


def _running() -> Running:
    system = Running()
    if system.postgres.pid is None:
        raise Problem("the system is down; ./dev up starts it")
    return system
