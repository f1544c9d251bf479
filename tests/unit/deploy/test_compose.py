"""What Docker Compose is told: health checks, order, hardening, and no secret that anybody knows."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
PARTS: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SERVICES = {"ingest", "workflow", "greenhouse-actions", "assessments"}


def test_all_parts_are_there_and_the_sandbox_only_on_demand() -> None:
    assert set(PARTS) == SERVICES | {"postgres", "rabbitmq", "migrate", "apply-topology", "sandbox"}
    assert {name for name, part in PARTS.items() if "profiles" in part} == {"sandbox"}


def test_whatever_stays_up_has_a_health_check() -> None:
    assert {name for name, part in PARTS.items() if "healthcheck" not in part} == {"migrate", "apply-topology"}


def test_services_wait_for_the_migrations() -> None:
    for name in SERVICES:
        waits = PARTS[name]["depends_on"]
        assert {waits[job]["condition"] for job in ("migrate", "apply-topology")} == {"service_completed_successfully"}


def test_our_containers_run_hardened() -> None:
    for name in set(PARTS) - {"postgres", "rabbitmq"}:
        assert PARTS[name]["read_only"] is True
        assert PARTS[name]["cap_drop"] == ["ALL"]


def test_no_secret_has_a_default_and_no_port_is_open_to_the_network() -> None:
    assert not re.findall(r"PASSWORD:-|PASSWORD\}", TEXT)
    for part in PARTS.values():
        assert all(port.startswith("127.0.0.1:") for port in part.get("ports", []))


def test_every_service_has_a_dockerfile_that_runs_it_as_an_ordinary_user() -> None:
    for name in SERVICES:
        text = (ROOT / PARTS[name]["build"]["dockerfile"]).read_text()
        assert "USER 10001:10001" in text
        assert f'CMD ["run", "{name}"]' in text
        assert f"COPY services/{name} " in text
        assert text.count("uv pip install") == text.count("--compile-bytecode"), (
            "each start would compile everything anew"
        )


def test_what_holds_secrets_enters_neither_git_nor_an_image() -> None:
    for ignored in (".gitignore", ".dockerignore"):
        lines = {line.strip("/") for line in (ROOT / ignored).read_text().splitlines()}
        assert {".env", "secrets"} <= lines, ignored
