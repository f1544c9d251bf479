"""A Greenhouse of one stage plan in memory, behind the client's HTTP: it counts, refuses over its limit, and is slow."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from trellis.greenhouse_actions.adapters.http import HttpAnswer
from trellis.sandbox.greenhouse.rate import RateWindow

ANSWER_SECONDS = 0.15
WINDOW_SECONDS = 30.0


class Greenhouse:
    """One account's.

    Args:
        now: The simulated time.
        limit: Calls a window, as it is now.

    Attributes:
        calls: By route.
        refused: How many were answered 429.
    """

    def __init__(self, now: Callable[[], datetime], limit: Callable[[], int]) -> None:
        self._now = now
        self._limit = limit
        self._window = RateWindow()
        self._stages: dict[int, int] = {}
        self._activities: dict[int, datetime] = {}
        self.calls: Counter[str] = Counter()
        self.refused = 0

    async def get(self, url: str, query: Mapping[str, str], *, headers: Mapping[str, str]) -> HttpAnswer:
        """See `HttpClients.get`."""
        route = url.rsplit("/", 1)[-1]
        return await self._answer(route, 200, self._rows(route, query))

    async def write(
        self, method: str, url: str, body: Mapping[str, int], *, headers: Mapping[str, str], connect_seconds: float
    ) -> HttpAnswer:
        """See `HttpClients.write`: a note, or a move."""
        route = url.rsplit("/", 1)[-1]
        answer = await self._answer(route, 201, {"id": self.calls.total(), "created_at": self._now().isoformat()})
        if route == "move" and answer.status < 300:
            ident = int(url.split("/")[-2])
            self._stages[ident], self._activities[ident] = body["to_stage_id"], self._now()
        return answer

    def called_by_others(self) -> None:
        """Spend one call of the same credential, as another tool of the customer does."""
        self._window.spend(self._now(), limit=self._limit(), length_s=WINDOW_SECONDS, reset_style="window_end")

    async def _answer(self, route: str, status: int, body: object) -> HttpAnswer:
        spent = self._window.spend(self._now(), limit=self._limit(), length_s=WINDOW_SECONDS, reset_style="window_end")
        self.calls[route] += 1
        await asyncio.sleep(ANSWER_SECONDS)
        if spent.retry_after is not None:
            self.refused += 1
            return HttpAnswer(429, spent.headers(), b"{}")
        return HttpAnswer(status, spent.headers(), json.dumps(body).encode())

    def _rows(self, route: str, query: Mapping[str, str]) -> list[dict[str, object]]:
        if route == "job_interview_stages":
            job = int(query["job_ids"])
            return [{"id": n, "job_id": job, "name": f"stage {n}", "sort_order": n, "active": True} for n in (1, 2)]
        named = query.get("ids") or query.get("application_ids") or ""
        return [self._row(route, int(ident)) for ident in named.split(",") if ident]

    def _row(self, route: str, ident: int) -> dict[str, object]:
        stage, at = self._stages.get(ident, 1), self._activities.get(ident)
        entered = None if at is None else at.isoformat()
        match route:
            case "applications":
                return {
                    "id": ident, "candidate_id": ident + 1000, "job_id": 1, "status": "active",
                    "job_interview_stage_id": stage, "stage_id": ident * 10 + stage, "last_activity_at": entered,
                }  # fmt: skip
            case "application_stages":
                return {
                    "id": ident * 10 + stage, "application_id": ident, "job_interview_stage_id": stage,
                    "entered_at": entered, "current": True,
                }  # fmt: skip
            case "candidates":
                return {"id": ident, "email_addresses": [{"value": f"p{ident}@mail.example", "type": "personal"}]}
        raise LookupError(route)
