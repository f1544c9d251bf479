"""The bytes and signatures of both vendors' webhooks, against the published and computed vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trellis.sandbox.coderbyte.webhooks import sign_token
from trellis.sandbox.greenhouse.hooks import escape, signature

VECTORS = json.loads(Path("tests/data/sandbox/greenhouse/signature_vectors.json").read_text(encoding="utf-8"))
W1 = {"action": "ping", "payload": {"web_hook_id": 4700021003, "name": "Stage automation", "active": True}}
W2 = {
    "action": "candidate_stage_change",
    "payload": {"application": {"id": 6200455003, "candidate": {"first_name": "Zoë", "title": "R&D <lead>"}}},
}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_signature_is_the_one_of_the_vector(vector: dict[str, str]) -> None:
    assert signature(bytes.fromhex(vector["body_hex"]), vector["secret"]) == vector["signature_header"]


def test_body_is_compact_and_escaped_like_the_vectors() -> None:
    by_name = {vector["name"]: bytes.fromhex(vector["body_hex"]) for vector in VECTORS}
    assert escape(W1, "html_and_unicode") == by_name["W1"]
    assert escape(W2, "html_and_unicode") == by_name["W2"]
    assert escape(W2, "none") == by_name["W3"]


def test_html_only_leaves_letters_alone() -> None:
    assert escape(W2, "html_only").decode() == escape(W2, "none").decode().replace("&", "\\u0026").replace(
        "<", "\\u003c"
    ).replace(">", "\\u003e")


@pytest.mark.parametrize("style", ["html_and_unicode", "html_only", "none"])
def test_every_escape_is_the_same_json(style: str) -> None:
    assert json.loads(escape(W2, style)) == W2


@pytest.mark.parametrize(
    ("claims", "token"),
    [
        (
            {"iss": "northwindhiring"},
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJub3J0aHdpbmRoaXJpbmcifQ"
            ".PHRuIlzmpVLw8GVmcebgU7QY1VDWh5Ij8iTiU3qEdb4",
        ),
        (
            {"iss": "northwindhiring", "iat": 1767225600},
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
            ".eyJpc3MiOiJub3J0aHdpbmRoaXJpbmciLCJpYXQiOjE3NjcyMjU2MDB9"
            ".RnQC9RtQz6gMurabycuTUwipjMa9imGUIW1T2bZ1T7U",
        ),
    ],
)
def test_coderbyte_token_is_the_one_of_the_fact_sheet(claims: dict[str, object], token: str) -> None:
    assert sign_token(claims, b"sim-api-key-0001") == token


def test_algorithm_none_has_an_empty_signature() -> None:
    assert sign_token({"iss": "x"}, b"key", "none").endswith(".")
