"""A private RabbitMQ: one node on ports of 127.0.0.1, everything it writes in one folder."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from tools.dev.compose import container
from tools.dev.console import Problem
from tools.dev.paths import folder_id, private_folder
from tools.dev.ports import PortBook, is_free
from tools.dev.process import Lease, Process, Program, bring_up
from tools.dev.programs import RabbitPrograms, find_rabbit
from tools.dev.secrets_kept import kept_secret

_PORTS = ("amqp", "management", "prometheus", "distribution", "epmd")

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
default_user = trellis
default_pass = {password}
default_vhost = /
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
default_user_tags.administrator = true
disk_free_limit.absolute = 100MB
vm_memory_high_watermark.absolute = 1GB
raft.wal_max_size_bytes = 64000000
collect_statistics_interval = 1000
log.file = {log}
log.file.level = info
log.console = false
"""


class RabbitServer:
    """A RabbitMQ with the management plugin in *folder*; stopped and started again it has the same ports.

    Started with a lease it stops by itself when the last holder of that lease ends.
    """

    name = "rabbitmq"

    def __init__(self, folder: Path, *, lease: Lease | None = None, programs: RabbitPrograms | None = None) -> None:
        self.folder = folder
        self._lease = lease
        self._programs = programs
        self._book = PortBook(folder)
        self._process = Process(folder, self.name)

    @property
    def pid(self) -> int | None:
        """Return the Erlang machine's process id, `None` while it is down."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Return the AMQP port."""
        return self._book.get("amqp")

    @property
    def url(self) -> str:
        """Return the administrator's AMQP URL of the default virtual host."""
        return self.vhost_url("/")

    @property
    def management_url(self) -> str:
        """Return the administrator's URL of the management API, without a path."""
        return f"http://trellis:{self.password}@127.0.0.1:{self._book.get('management')}"

    @property
    def password(self) -> str:
        """Return the administrator's password, made the first time and readable by its owner only."""
        return kept_secret(self.folder / "password")

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self.folder / "rabbitmq-server.log"

    def vhost_url(self, vhost: str) -> str:
        """Return the administrator's AMQP URL of *vhost*."""
        return f"amqp://trellis:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start the server unless it runs, and wait until it accepts connections.

        Raises:
            Problem: Its programs cannot be had, or it did not come up; the log says why.
        """
        what = f"RabbitMQ (see {self.log} and {self._process.log})"
        bring_up(self._process, self._program, self._accepts, what=what, seconds=90, lease=self._lease)

    def stop(self) -> None:
        """Shut the server down in its own way."""
        self._process.stop()

    def kill(self) -> None:
        """Kill the server and its helpers at once."""
        self._process.kill()

    def create_vhost(self, vhost: str) -> None:
        """Make the virtual host *vhost*, in which the administrator may do everything; idempotent."""
        self.call("PUT", f"/api/vhosts/{quote(vhost, safe='')}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"/api/permissions/{quote(vhost, safe='')}/trellis", everything)

    def drop_vhost(self, vhost: str) -> None:
        """Remove *vhost* with all its queues; nothing happens if there is none."""
        try:
            self.call("DELETE", f"/api/vhosts/{quote(vhost, safe='')}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def call(self, method: str, path: str, body: object = None) -> object:
        """Ask the management API and return its answer, decoded; `None` where it has no body.

        Raises:
            OSError: The server is away or refuses (`urllib.error.HTTPError`).
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._book.get('management')}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"trellis:{self.password}".encode()).decode(),
                "Content-Type": "application/json",
            },
        )
        # A proxy of the environment must not be asked for an address of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    def control(self, *arguments: str) -> None:
        """Run `rabbitmqctl` with *arguments* against the running server.

        Raises:
            Problem: It failed, or the server is a container's and has no such program here.
        """
        programs = self._programs or find_rabbit()
        if programs is None:
            raise Problem("rabbitmqctl lies in the server's container")
        ports = {name: self._book.get(name) for name in _PORTS}
        argv = [str(programs.sbin / "rabbitmqctl"), *arguments]
        env = self._environment(programs, ports)
        done = subprocess.run(argv, env=env, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Problem(f"rabbitmqctl {arguments[0]}: {(done.stderr or done.stdout).strip()[-300:]}")

    def _accepts(self) -> bool:
        try:
            self.call("GET", "/api/health/checks/local-alarms")
            self.call("GET", "/api/health/checks/protocol-listener/amqp")
        except (OSError, ValueError):
            return False
        return True

    def _program(self) -> Program:
        private_folder(self.folder)
        programs = self._programs or find_rabbit()
        ports = {name: self._book.get(name) for name in _PORTS}
        for name, port in ports.items():
            if not is_free(port):
                ports[name] = self._book.replace(name)
        if programs is None:
            settings = {"TRELLIS_PORT": str(ports["amqp"]), "TRELLIS_MANAGEMENT_PORT": str(ports["management"])}
            return container("rabbitmq", self.folder, {"TRELLIS_PASSWORD": self.password, **settings})
        self._write_configuration(ports)
        return Program(
            argv=[str(programs.sbin / "rabbitmq-server")],
            env=self._environment(programs, ports),
            cwd=self.folder,
            helpers=[[str(programs.erlang_bin / "epmd")]],
        )

    def _write_configuration(self, ports: dict[str, int]) -> None:
        path = self.folder / "rabbitmq.conf"
        path.touch(mode=0o600)
        values = {**ports, "password": self.password, "log": self.log}
        path.write_text(_CONFIGURATION.format_map(values), "utf-8")
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n", "utf-8")
        (self.folder / "env.conf").touch()

    def _environment(self, programs: RabbitPrograms, ports: dict[str, int]) -> dict[str, str]:
        folder = self.folder
        return {
            **programs.environment(),
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "RABBITMQ_NODENAME": f"trellis-{folder_id(folder)}@localhost",
            "RABBITMQ_DIST_PORT": str(ports["distribution"]),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "beam.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # Makes the start script become the server instead of its parent, so that signals reach it;
            # -noinput is what the script leaves out in exchange.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
        }
