"""Planted bugs of what recruiters see of an application; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trellis.greenhouse_actions.domain import standing as shown
from trellis.workflow.domain import standing

_Put = Callable[[Any, str, Any], None]


def never_taken_back(put: _Put) -> None:
    """What is shown stays when there is nothing to show any more."""
    real = standing.standing_of

    def kept(state: Any) -> Any:
        wanted = real(state)
        return state.shown if wanted[0] is None else wanted

    put(standing, "standing_of", kept)


def hidden_is_gone(put: _Put) -> None:
    """An application that Greenhouse does not show now needs nothing any more."""
    put(shown, "wait_for_hidden", lambda tries: None)
