"""A whole Trellis of separate processes on given servers: `./dev up`, the demo and the end-to-end tests."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.dev import sql
from tools.dev.console import Problem
from tools.dev.environment import Places, shared_environment, variable_prefix
from tools.dev.paths import ROOT, SERVICES, VENV, private_folder
from tools.dev.ports import PortBook
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease, Process, Program, bring_up, poll, stop_together
from tools.dev.rabbitmq import RabbitServer
from tools.dev.secrets_kept import kept_secret

SANDBOX = "sandbox"

_SERVICE_GRACE_S = 30.0
"""Longer than a service takes to finish what is in hand."""


class System:
    """The services, and the sandbox if wanted, each one process, with a database and a virtual host of their own.

    Args:
        folder: Its ports, secrets, pid files and logs; used again, it is the same system.
        postgres: The server its database lies in.
        rabbitmq: The server its virtual host lies in.
        database: A lower-case word; the login roles begin with it, since roles belong to the whole server.
        vhost: The virtual host's name.
        sandbox: Whether a sandbox of the vendors belongs to it.
        lease: Whose holders it serves; without one it runs until it is stopped.
        settings: Further environment of every service, say `TRELLIS_LOG_LEVEL`.
        programs: Other command lines for some of `trellis` and the parts, by name.
        replicas: How many processes each service has; the second of `workflow` is the part `workflow.2`. All share
            the database and the broker and have listening ports of their own; the environment names the first
            one's address, unless *settings* name that of something before them.
    """

    def __init__(
        self,
        folder: Path,
        postgres: PostgresServer,
        rabbitmq: RabbitServer,
        *,
        database: str = "trellis",
        vhost: str = "trellis",
        sandbox: bool = True,
        lease: Lease | None = None,
        settings: Mapping[str, str] | None = None,
        programs: Mapping[str, Sequence[str]] | None = None,
        replicas: int = 1,
    ) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", database):
            raise ValueError(f"{database!r} is no database name of a-z, 0-9 and _")
        self.folder = private_folder(folder)
        self.postgres = postgres
        self.rabbitmq = rabbitmq
        self.database = database
        self.vhost = vhost
        more = tuple(f"{name}.{number}" for number in range(2, replicas + 1) for name in SERVICES)
        self.names = (*SERVICES, *more, *([SANDBOX] if sandbox else []))
        self._lease = lease
        self._settings = dict(settings or {})
        self._programs = {"trellis": [str(VENV / "bin/trellis")], **(programs or {})}
        self._book = PortBook(folder)
        self._processes = {name: Process(folder, name) for name in (*SERVICES, *more, SANDBOX)}

    def prepare(self) -> None:
        """Make database and virtual host and bring both up to date; repeatable, the servers must run.

        Raises:
            Problem: One of the steps failed, with its last words.
        """
        owner = kept_secret(self.folder / "owner.password")
        sql.create_database(self.postgres.url, database=self.database, owner=self._role("owner"), password=owner)
        self.rabbitmq.create_vhost(self.vhost)
        self.trellis("migrate")
        self.trellis("apply-topology")

    def start_all(self) -> None:
        """Prepare, start what is missing and return when all of it is ready."""
        self.prepare()
        for name in self.names:
            self.start(name, wait=False)
        for name in self.names:
            self.wait_ready(name)

    def start(self, name: str, extra: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        """Start the part *name* unless it runs.

        Args:
            name: One of `names`.
            extra: Environment for this run only, say `TRELLIS_FAILPOINT`.
            wait: Return only when it is ready.

        Raises:
            Problem: It ended, or was not ready in time; its log says why.
        """
        process = self._process(name)
        env = {**self.environment(), **self._addresses(name), **(extra or {})}
        program = Program(argv=self._argv(name), env=env, cwd=self.folder, grace_s=_SERVICE_GRACE_S)
        if not wait:
            return process.start(program, lease=self._lease)
        what, ready = f"{name} (see {process.log})", lambda: self.ready(name)
        return bring_up(process, lambda: program, ready, what=what, seconds=60, lease=self._lease)

    def wait_ready(self, name: str, *, seconds: float = 60) -> None:
        """Return when the part *name* says it is ready.

        Raises:
            Problem: It ended, or was not ready within *seconds*.
        """
        process = self._process(name)
        what, ready = f"{name} (see {process.log})", lambda: self.ready(name)
        poll(what, ready, seconds=seconds, alive=lambda: process.pid is not None)

    def ready(self, name: str) -> bool:
        """Say whether the part *name* answers that it is ready; the sandbox is as soon as it listens."""
        if name == SANDBOX:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port(name)), timeout=2):
                return True
            return False
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.admin_url(name)}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, name: str) -> None:
        """Stop the part *name* in its own way (SIGTERM)."""
        self._process(name).stop()

    def kill(self, name: str) -> None:
        """Kill the part *name* (SIGKILL)."""
        self._process(name).kill()

    def stop_all(self) -> None:
        """Stop every part, all at once, and return when all are gone."""
        stop_together(list(self._processes.values()))

    def kill_all(self) -> None:
        """Kill every part."""
        for process in self._processes.values():
            process.kill()

    def drop(self) -> None:
        """Remove the database, its roles and the virtual host; the parts must be down."""
        roles = [self._role(name) for name in (*SERVICES, "owner")]
        sql.drop_database(self.postgres.url, database=self.database, roles=roles)
        self.rabbitmq.drop_vhost(self.vhost)

    def pid(self, name: str) -> int | None:
        """Return the process id of the part *name*, `None` while it is down."""
        return self._process(name).pid

    def log(self, name: str) -> Path:
        """Return the log file of the part *name*: what it wrote on both outputs, of all its runs."""
        return self._process(name).log

    def url(self, name: str) -> str:
        """Return the base URL of the part *name*."""
        return f"http://127.0.0.1:{self._port(name)}"

    def admin_url(self, name: str) -> str:
        """Return the base URL of the service's health and metrics."""
        return f"http://127.0.0.1:{self._book.get(f'{name}.admin')}"

    def environment(self) -> dict[str, str]:
        """Return the environment of every part, and of the `trellis` command."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TRELLIS_TEST_")}
        return {**ours, **self.variables()}

    def variables(self) -> dict[str, str]:
        """Return what the environment says about this system alone."""
        return {**shared_environment(self._places(), self.folder / "keyring.json"), **self._settings}

    def trellis(self, *arguments: str) -> str:
        """Run the `trellis` command against this system and return what it printed.

        Raises:
            Problem: It failed, with its last words.
        """
        argv = [*self._programs["trellis"], *arguments]
        done = subprocess.run(argv, env=self.environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Problem(f"trellis {' '.join(arguments)}: {words[-1] if words else done.returncode}")
        return done.stdout

    def _argv(self, name: str) -> Sequence[str]:
        if name in self._programs:
            return self._programs[name]
        if name == SANDBOX:
            return [str(VENV / "bin/trellis-sandbox"), "serve", "--listen", f"127.0.0.1:{self._port(name)}"]
        return [*self._programs["trellis"], "run", name.partition(".")[0]]

    def _addresses(self, name: str) -> dict[str, str]:
        """Return what a further replica is told otherwise than the first."""
        service, _, number = name.partition(".")
        if not number:
            return {}
        prefix = variable_prefix(service)
        return {
            f"{prefix}_LISTEN": f"127.0.0.1:{self._port(name)}",
            f"{prefix}_ADMIN_LISTEN": self.admin_url(name).removeprefix("http://"),
        }

    def _process(self, name: str) -> Process:
        if name not in self._processes:
            raise Problem(f"no part is called {name!r}; there are {', '.join(self._processes)}")
        return self._processes[name]

    def _port(self, name: str) -> int:
        return self._book.get(name)

    def _role(self, name: str) -> str:
        return f"{self.database}_{name.replace('-', '_')}"

    def _role_url(self, name: str) -> str:
        password = kept_secret(self.folder / f"{name}.password")
        return self.postgres.database_url(self.database, user=self._role(name), password=password)

    def _places(self) -> Places:
        return Places(
            broker=self.rabbitmq.vhost_url(self.vhost),
            broker_management=self.rabbitmq.management_url,
            owner_database=self._role_url("owner"),
            databases={name: self._role_url(name) for name in SERVICES},
            listen={name: f"127.0.0.1:{self._port(name)}" for name in SERVICES},
            admin_listen={name: self.admin_url(name).removeprefix("http://") for name in SERVICES},
            sandbox=self.url(SANDBOX) if SANDBOX in self.names else None,
        )
