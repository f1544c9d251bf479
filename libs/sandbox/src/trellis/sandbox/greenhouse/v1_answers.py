"""Refusals of Harvest v1, with the bodies that were recorded or are documented.

Source: greenhouse.md section 4; sample payload `harvest_errors.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass
class V1Refusal(Exception):
    """A call that is answered with an error, without effect."""

    status: int
    body: dict[str, object]

    def response(self) -> web.Response:
        """The answer as it goes out."""
        return web.json_response(self.body, status=self.status)


def bad_key() -> V1Refusal:
    """401."""
    return V1Refusal(401, {"message": "Invalid Basic Auth credentials"})


def not_ticked() -> V1Refusal:
    """403 for an endpoint that the key was not given; also for a GET with a body."""
    return V1Refusal(403, {"message": "This API Key does not have permission for this endpoint"})


def not_found() -> V1Refusal:
    """404: the same for an unknown record, an unknown `user_id` and an unknown `On-Behalf-Of`."""
    return V1Refusal(404, {"message": "Resource not found"})


def invalid(field: str, text: str) -> V1Refusal:
    """422 for a field that is there and wrong."""
    return V1Refusal(422, {"message": "Validation error", "errors": [{"message": text, "field": field}]})


def missing(field: str) -> V1Refusal:
    """422 for a field that is not there; the recorded one has no `message`."""
    return V1Refusal(422, {"errors": [{"message": f"Missing required field: {field}", "field": field}]})
