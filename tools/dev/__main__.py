"""The entry point of `./dev`."""

from __future__ import annotations

import os
import sys

from tools.dev.commands import main

if __name__ == "__main__":
    for ours in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):  # set by the script that starts us, for us only
        os.environ.pop(ours, None)
    sys.exit(main(sys.argv[1:]))
