"""`.dev/state.json` says where each part is, whether it runs or not, and unknown commands say what there is."""

import json
from pathlib import Path

import pytest
from tools.dev import commands, running
from tools.dev.environment import Places, new_keyring, shared_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "RUN", tmp_path / "run")
    monkeypatch.setattr(running, "STATE", tmp_path / "state.json")
    return tmp_path


def test_the_state_names_every_part_with_its_addresses(checkout: Path) -> None:
    running.Running(sandbox=True).write_state()
    state = json.loads((checkout / "state.json").read_text())
    assert set(state["services"]) == {"ingest", "workflow", "greenhouse-actions", "assessments", "sandbox"}
    assert state["services"]["ingest"]["pid"] is None
    assert state["services"]["ingest"]["metrics_url"].endswith("/metrics")
    assert state["services"]["sandbox"]["metrics_url"] is None
    assert state["postgres"]["url"].startswith("postgresql://postgres:")
    assert state["rabbitmq"]["url"].endswith("/trellis")


def test_the_state_holds_passwords_and_is_readable_by_its_owner_only(checkout: Path) -> None:
    running.Running().write_state()
    assert (checkout / "state.json").stat().st_mode & 0o077 == 0


def test_ports_and_the_choice_of_no_sandbox_are_kept(checkout: Path) -> None:
    first = running.Running(sandbox=False).state()
    assert running.Running().state() == first
    assert "sandbox" not in running.Running().system.names
    assert "sandbox" in running.Running(sandbox=True).system.names


def test_services_are_told_of_a_sandbox_only_where_there_is_one(tmp_path: Path) -> None:
    names = ("ingest", "workflow", "greenhouse-actions", "assessments")
    addresses = {name: f"127.0.0.1:{number}" for number, name in enumerate(names, 1000)}
    for sandbox in (None, "http://127.0.0.1:9"):
        places = Places(
            broker="amqp://x",
            broker_management="http://x",
            owner_database="postgresql://owner",
            databases={name: f"postgresql://{name}" for name in names},
            listen=addresses,
            admin_listen=addresses,
            sandbox=sandbox,
        )
        told = shared_environment(places, tmp_path / "keyring.json")
        assert told["TRELLIS_GREENHOUSE_ACTIONS_URL"] == "http://127.0.0.1:1002"
        assert told["TRELLIS_INGEST_DATABASE_URL"] == "postgresql://ingest"
        assert ("TRELLIS_SANDBOX_URL" in told) == (sandbox is not None)


def test_a_keyring_is_fresh_each_time_and_its_keys_differ() -> None:
    assert len({json.dumps(new_keyring()) for _ in range(3)}) == 3


def test_an_unknown_command_exits_2_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["nope"]) == 2
    said = capsys.readouterr().err
    assert all(f"  {name} " in said for name in commands.COMMANDS)


def test_every_command_has_one_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main([]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert len(lines) == len(commands.COMMANDS)
    assert all(len(line) <= 110 and line.endswith(".") for line in lines)
