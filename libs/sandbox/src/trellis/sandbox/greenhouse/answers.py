"""Refusals of Greenhouse, with the bodies that were recorded or are documented.

Source: greenhouse.md section 5.3; sample payload `harvest_v3_errors.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass
class Refusal(Exception):
    """A call that is answered with an error, without effect."""

    status: int
    message: str
    errors: str | list[str] | list[dict[str, str]] | None = None

    def response(self) -> web.Response:
        """The answer as it goes out."""
        body: dict[str, object] = {"message": self.message}
        if self.errors is not None:
            body["errors"] = self.errors
        return web.json_response(body, status=self.status)


REVOKED = "Token has already been refreshed or revoked. Please generate a new token."
UNDECODABLE = "Token could not be decoded"
EXPIRED = "Token has expired. Please generate a new token."


def unauthorized(text: str) -> Refusal:
    """401."""
    return Refusal(401, "Unauthorized", [text])


def forbidden(text: str) -> Refusal:
    """403."""
    return Refusal(403, "Forbidden", [text])


def no_route() -> Refusal:
    """404 for a path that does not exist, such as an item route."""
    return Refusal(404, "Resource not found")


def no_record(kind: str) -> Refusal:
    """404 for a record; *kind* is `Application`, `Candidate` and so on."""
    return Refusal(404, "Resource not found", f"{kind} not found")


def unprocessable(text: str) -> Refusal:
    """422 with a list of texts."""
    return Refusal(422, "Unprocessable Content", [text])


def invalid(field: str, text: str) -> Refusal:
    """422 with a list of {field: text}."""
    return Refusal(422, "Unprocessable Content", [{field: text}])
