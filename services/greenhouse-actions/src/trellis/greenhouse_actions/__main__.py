"""Runs the service with this process's environment: `python -m trellis.greenhouse_actions`."""

import asyncio
import os

from trellis.greenhouse_actions.app import SERVICE

asyncio.run(SERVICE.run(os.environ))  # type: ignore[arg-type]
