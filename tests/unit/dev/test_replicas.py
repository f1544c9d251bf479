"""A system of two replicas: names, addresses and command lines; nothing is started."""

from __future__ import annotations

from pathlib import Path

from tools.dev.paths import SERVICES
from tools.dev.postgres import PostgresServer
from tools.dev.rabbitmq import RabbitServer
from tools.dev.system import SANDBOX, System


def system(folder: Path, replicas: int) -> System:
    return System(folder, PostgresServer(folder / "pg"), RabbitServer(folder / "mq"), replicas=replicas)


def test_one_replica_is_what_it_was(tmp_path: Path) -> None:
    assert system(tmp_path, 1).names == (*SERVICES, SANDBOX)


def test_the_second_replica_has_ports_of_its_own_and_shares_the_rest(tmp_path: Path) -> None:
    two = system(tmp_path, 2)
    assert two.names == (*SERVICES, *(f"{name}.2" for name in SERVICES), SANDBOX)
    urls = [address(name) for name in two.names if name != SANDBOX for address in (two.url, two.admin_url)]
    assert len(set(urls)) == len(urls)
    told = {**two.variables(), **two._addresses("greenhouse-actions.2")}
    assert told["TRELLIS_GREENHOUSE_ACTIONS_LISTEN"] == two.url("greenhouse-actions.2").removeprefix("http://")
    assert told["TRELLIS_GREENHOUSE_ACTIONS_URL"] == two.url("greenhouse-actions")
    assert two._argv("greenhouse-actions.2")[-2:] == ["run", "greenhouse-actions"]
