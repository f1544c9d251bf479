"""Prints what the members named on the command line want from others, one requirement a line; see the Dockerfiles."""

import sys
import tomllib
from pathlib import Path

if __name__ == "__main__":
    wanted = set()
    for folder in sys.argv[1:]:
        project = tomllib.loads((Path(folder) / "pyproject.toml").read_text("utf-8"))["project"]
        wanted |= {name for name in project["dependencies"] if not name.startswith("trellis-")}
    print("\n".join(sorted(wanted)))
