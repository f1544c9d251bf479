"""`./dev demo`: the story of `tools.demo` on a system of its own, which is gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.dev.bootstrap import ensure_environment
from tools.dev.compose import remove_containers
from tools.dev.console import Problem, say
from tools.dev.foreground import run
from tools.dev.identity import remove_elsewhere
from tools.dev.paths import DEV, ROOT, dev_folder
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease
from tools.dev.rabbitmq import RabbitServer
from tools.dev.system import System


def demo(arguments: Sequence[str]) -> int:
    """Start a fresh system, run the demo's story on it and take everything down; returns the story's code.

    The folder with the logs stays if the story did not end well.
    """
    if not (ROOT / "tools/demo/__main__.py").exists():
        raise Problem("there is no tools/demo to run yet")
    python = ensure_environment()
    _remove_old()
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=dev_folder()))
    with Lease(folder) as lease:
        postgres = PostgresServer(folder / "postgres", lease=lease)
        rabbitmq = RabbitServer(folder / "rabbitmq", lease=lease)
        system = System(folder / "system", postgres, rabbitmq, lease=lease)
        try:
            say("starting PostgreSQL and RabbitMQ")
            postgres.start()
            rabbitmq.start()
            say("starting the services and the sandbox")
            system.start_all()
            code = run([str(python), "-m", "tools.demo", *arguments], system.environment())
        except Problem:
            say(f"the logs are in {folder}")
            raise
        finally:
            # What lies in them is never used again, so these need not end in order.
            system.kill_all()
            rabbitmq.kill()
            postgres.stop()
    if code == 0:
        _remove(folder)
    else:
        say(f"the demo ended with {code}; the logs are in {folder}")
    return code


def _remove_old() -> None:
    for folder in DEV.glob("demo-*"):
        with Lease(folder).if_unused() as unused:
            if unused:
                _remove(folder)


def _remove(folder: Path) -> None:
    remove_containers(folder)
    remove_elsewhere(folder)
    shutil.rmtree(folder, ignore_errors=True)
