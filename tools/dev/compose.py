"""The servers as containers, for machines that have a Docker engine but neither Debian's packages nor PyPI's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.dev.paths import folder_id
from tools.dev.process import Program

_FILE = Path(__file__).with_name("servers-compose.yml")
_MARK = "docker-project"


def available() -> bool:
    """Say whether a Docker engine with the `compose` command answers."""
    if shutil.which("docker") is None:
        return False
    questions = (["docker", "compose", "version"], ["docker", "info"])
    return all(subprocess.run(argv, capture_output=True, check=False).returncode == 0 for argv in questions)


def container(service: str, folder: Path, settings: Mapping[str, str]) -> Program:
    """Return how to run *service* of `servers-compose.yml` for the server in *folder*, with *settings* filled in."""
    project = f"trellis-{folder_id(folder)}"
    (folder / _MARK).write_text(project, "utf-8")
    command = ["docker", "compose", "--project-name", project, "--file", str(_FILE)]
    return Program(
        argv=[*command, "up", "--no-color", "--abort-on-container-exit", service],
        env={**os.environ, **settings},
        cwd=folder,
        grace_s=60,
        afterwards=[[*command, "kill"]],
    )


def remove_containers(folder: Path) -> None:
    """Remove the containers and volumes of servers below *folder*."""
    for mark in folder.rglob(_MARK):
        project = mark.read_text("utf-8")
        argv = ["docker", "compose", "--project-name", project, "--file", str(_FILE), "down", "--volumes"]
        subprocess.run(argv, capture_output=True, check=False)
