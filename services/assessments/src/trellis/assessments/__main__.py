"""`python -m trellis.assessments` runs the service with the process's environment."""

from __future__ import annotations

import asyncio
import os

from trellis.assessments.app import run

if __name__ == "__main__":
    asyncio.run(run(os.environ))
