"""What Kubernetes is told: every pod is probed and restricted, and selectors find what they should."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

BASE = Path(__file__).resolve().parents[3] / "deploy/k8s/base"
SERVICES = {"ingest", "workflow", "greenhouse-actions", "assessments"}
Manifest = dict[str, Any]


def written() -> list[Manifest]:
    """Return the manifests as they stand in the files that the kustomization names."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    texts = [(BASE / name).read_text() for name in kustomization["resources"]]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


def can_render() -> bool:
    """Say whether there is a kubectl that knows `labels` in a kustomization; Debian's is too old."""
    if shutil.which("kubectl") is None:
        return False
    said = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    version = json.loads(said.stdout or "{}").get("clientVersion", {})
    return (int(version.get("major", 0)), int(version.get("minor", "0").rstrip("+"))) >= (1, 24)


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """Return the manifests as kustomize renders them, where it is there, else as they are written."""
    if not can_render():
        return written()
    rendered = subprocess.run(["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    return list(yaml.safe_load_all(rendered.stdout))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for kind in ("Deployment", "Job"):
        for name, manifest in of_kind(manifests, kind).items():
            yield name, manifest["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def test_there_is_a_deployment_a_service_and_a_disruption_budget_for_each_service(manifests: list[Manifest]) -> None:
    expected = {f"trellis-{name}" for name in SERVICES}
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert set(of_kind(manifests, kind)) == expected


def test_every_file_is_named_in_the_kustomization() -> None:
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in BASE.glob("*.yaml")} == {"kustomization.yaml", *named}


def test_every_pod_runs_restricted(manifests: list[Manifest]) -> None:
    found = dict(pods(manifests))
    assert len(found) == 5
    for pod in found.values():
        context = pod["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"memory"} == set(container["resources"]["limits"])
            assert {"cpu", "memory"} == set(container["resources"]["requests"])


def test_every_pod_has_its_own_service_account(manifests: list[Manifest]) -> None:
    accounts = of_kind(manifests, "ServiceAccount")
    used = [pod["spec"]["serviceAccountName"] for _, pod in pods(manifests)]
    assert sorted(used) == sorted(accounts)


def test_liveness_asks_only_whether_the_loop_turns_and_readiness_for_everything(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment").values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        paths = {"startupProbe": "/health/live", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}
        for probe, path in paths.items():
            assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
        assert ports == {"http", "admin"}


def test_a_pod_has_longer_to_stop_than_a_service_takes_to_drain(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] > pause + 20
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_selectors_find_the_pods_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests)}
    selecting = [
        *((name, item["spec"]["selector"]) for name, item in of_kind(manifests, "Service").items()),
        *((name, item["spec"]["selector"]["matchLabels"]) for name, item in of_kind(manifests, "Deployment").items()),
        *(
            (name, item["spec"]["selector"]["matchLabels"])
            for name, item in of_kind(manifests, "PodDisruptionBudget").items()
        ),
    ]
    for name, selector in selecting:
        assert {pod for pod, own in labels.items() if selector.items() <= own.items()} == {name}


def test_everything_is_denied_but_what_a_policy_names(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    deny = policies.pop("trellis-default-deny")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(deny)
    chosen = deny["podSelector"]["matchLabels"]
    for _, pod in pods(manifests):
        assert chosen.items() <= pod["metadata"]["labels"].items()
    reach_vendors = {name for name, policy in policies.items() if "443" in str(policy["spec"].get("egress"))}
    assert reach_vendors == {"trellis-greenhouse-actions-to-vendor", "trellis-assessments-to-vendor"}


def test_the_migration_job_bears_the_version_in_its_name(manifests: list[Manifest]) -> None:
    (name,) = of_kind(manifests, "Job")
    tag = next(
        image["newTag"]
        for image in yaml.safe_load((BASE / "kustomization.yaml").read_text())["images"]
        if image["name"] == "trellis"
    )
    assert name == f"trellis-migrate-{tag.replace('.', '-')}"
