"""The AsyncAPI 3.0 document of the broker, from the message models and the topology."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from trellis.common.bus.topology import EXCHANGE, QUEUES
from trellis.common.contracts.envelope import CONTENT_TYPE, MESSAGE_TYPES

_HEAD = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "dataschema", "accountid", "correlationid", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid"},
        "source": {"type": "string", "examples": ["trellis/ingest"]},
        "type": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"type": "string", "description": "names type and version"},
        "subject": {"type": "string", "examples": ["application/6200455003"]},
        "accountid": {"type": "string", "description": "the tenant"},
        "correlationid": {"type": "string"},
        "causationid": {"type": "string"},
        "traceparent": {"type": "string"},
        "contentkey": {"type": "string", "description": "a second identity; an equal one is a repeat"},
    },
}


def asyncapi() -> dict[str, Any]:
    """Return the document: a channel per message type, the operations of each consuming service."""
    channels, messages, schemas, operations = {}, {}, {}, {}
    for name, model in MESSAGE_TYPES.items():
        key = name.replace(".", "_")
        schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
        messages[key] = {
            "name": f"{name}.v1",
            "summary": (model.__doc__ or "").strip().split("\n")[0],
            "contentType": CONTENT_TYPE,
            "payload": {
                "allOf": [
                    {"$ref": "#/components/schemas/CloudEvent"},
                    {
                        "type": "object",
                        "properties": {
                            "type": {"const": name},
                            "data": {"$ref": f"#/components/schemas/{model.__name__}"},
                        },
                    },
                ]
            },
        }
        channels[key] = {
            "address": f"{name}.v1",
            "description": f"routing key on the topic exchange `{EXCHANGE}`",
            "messages": {key: {"$ref": f"#/components/messages/{key}"}},
        }
    for queue in QUEUES:
        for binding in queue.bindings:
            key = binding.removesuffix(".v1").replace(".", "_")
            operations[f"{queue.name.split('.')[0]}_receives_{key}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{key}"},
                "summary": f"consumed from the quorum queue `{queue.name}`",
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trellis",
            "version": "1",
            "description": "CloudEvents 1.0 in structured JSON mode. Generated from the models; do not edit.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"CloudEvent": _HEAD, **schemas}},
    }
