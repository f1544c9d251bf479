"""The OpenAPI documents: valid, whole, and their bodies are those that the services take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.integration.tenants.walking import BODIES
from tools.docs.openapi import openapi

DOCUMENTS = openapi()
OPERATIONS = [
    (name, method, path, said)
    for name, document in DOCUMENTS.items()
    for path, methods in document["paths"].items()
    for method, said in methods.items()
]


def takes(service: str, operation: dict[str, Any], body: dict[str, Any]) -> bool:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": DOCUMENTS[service]["components"]}).is_valid(body)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_schema_is_one_and_every_reference_leads_somewhere(name: str) -> None:
    document = DOCUMENTS[name]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        node = document
        for part in reference.split("/"):
            node = node[part]


def test_each_operation_is_told_in_words_and_declares_what_stands_in_its_path() -> None:
    for name, method, path, said in OPERATIONS:
        assert said["summary"], (name, method, path)
        declared = {item["name"] for item in said.get("parameters", []) if item["in"] == "path"}
        assert declared == set(re.findall(r"{(.+?)}", path)), path


def test_only_webhooks_health_and_metrics_ask_for_no_token() -> None:
    open_to_all = {path for _, _, path, said in OPERATIONS if "security" not in said}
    assert open_to_all == {
        "/webhooks/greenhouse/{endpoint_token}",
        "/webhooks/coderbyte/{endpoint_token}",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


def test_a_body_that_a_service_takes_is_documented_and_a_misspelt_one_is_not() -> None:
    for (method, path), bodies in BODIES.items():
        found = [(name, said) for name, verb, where, said in OPERATIONS if (verb, where) == (method.lower(), path)]
        assert found, path
        for body in bodies if "requestBody" in found[0][1] else []:
            assert any(takes(name, said, body) for name, said in found), (path, body)
            assert not any(takes(name, said, body | {"misspelt": 1}) for name, said in found), path
