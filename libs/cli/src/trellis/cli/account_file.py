"""The account's file, `trellis.yaml`: one account, its connections, its settings, its workflows.

Shapes only. What a workflow means is the workflow service's; what a setting does, the service's it is for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from trellis.common.contracts.connection_settings import CODERBYTE, GREENHOUSE, SETTINGS, Json, Setting
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import InputError


def _reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError("a reference, env:NAME or file:PATH; a secret never stands in this file")
    return value


SecretRef = Annotated[
    str, AfterValidator(_reference), Field(json_schema_extra={"pattern": "^(env|file):.+"}, examples=["env:NAME"])
]
"""A reference to a secret: `env:NAME` or `file:PATH`."""


_NEAR: Final = ("127.0.0.1", "localhost", "::1", "sandbox")
"""Hosts that may be called in the clear: this machine, and the sandbox of the compose file."""


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.username or not (parts.scheme == "https" or (parts.scheme == "http" and host in _NEAR)):
        raise ValueError("an https:// address (http only on this machine)")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _faulty(faults: list[tuple[str, str]]) -> PydanticCustomError:
    """Return the error of a mapping of which several fields, each with what was expected, may be wrong."""
    return PydanticCustomError("fields", "other fields", {"faults": faults})


def _check(settings: dict[str, Json], known: tuple[Setting, ...]) -> dict[str, Json]:
    names = {setting.name for setting in known}
    faults = []
    for name, value in settings.items():
        if name not in names:
            faults.append((name, f"a known setting, one of {', '.join(sorted(names))}"))
        elif problem := _problem(value, SETTINGS[name].schema):
            faults.append((name, problem))
    if faults:
        raise _faulty(faults)
    return settings


def _problem(value: Json, schema: Mapping[str, Any]) -> str | None:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return " or ".join(kinds)
    if "enum" in schema and value not in schema["enum"]:
        return f"one of {', '.join(schema['enum'])}"
    least = schema.get("minimum")
    if least is not None and isinstance(value, int | float) and value < least:
        return f"at least {least:g}"
    if isinstance(value, list):
        kind = schema["items"]["type"]
        if len(value) < schema.get("minItems", 0) or not all(_is(item, kind) for item in value):
            return f"a list of {kind}s, at least one"
    return None


def _is(value: Json, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, str)


class _Settings:
    """JSON Schema of a `settings` field: each known name with its type, default and question."""

    def __init__(self, known: tuple[Setting, ...]) -> None:
        self._known = known

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                setting.name: {**setting.schema, "default": setting.default, "description": setting.question}
                for setting in self._known
            },
        }


class GreenhouseConnection(_Shape):
    """How to reach Greenhouse, and as whom."""

    api_version: Literal["v3", "v1"] = "v3"
    """Harvest v1 was announced to end on 31 August 2026; changing it to v3 loses nothing that is under way."""
    base_url: Url | None = None
    """Left out, Greenhouse's own."""
    token_url: Url | None = None
    """Likewise; v3 only."""
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """v3 needs it. No secret: as it is, or by reference."""
    client_secret: SecretRef | None = None
    """v3 needs it."""
    api_key: SecretRef | None = None
    """v1 needs it."""
    service_user_id: Annotated[int, Field(gt=0)]
    """The numeric id of the Site Admin user who shows as author of notes and moves."""
    webhook_secret: SecretRef | None = None
    """Left out, Trellis makes one and `trellis endpoints` shows it once."""
    settings: Annotated[dict[str, Json], _Settings(GREENHOUSE)] = Field(default_factory=dict)

    @field_validator("settings")
    @classmethod
    def _known(cls, value: dict[str, Json]) -> dict[str, Json]:
        return _check(value, GREENHOUSE)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        of_v3, of_v1 = ("client_id", "client_secret"), ("api_key",)
        needed, foreign = (of_v3, of_v1) if self.api_version == "v3" else (of_v1, (*of_v3, "token_url"))
        faults = [
            (name, f"{name}, which Harvest {self.api_version} needs") for name in needed if getattr(self, name) is None
        ]
        faults += [
            (name, f"nothing here, since Harvest {self.api_version} has no {name}")
            for name in foreign
            if getattr(self, name) is not None
        ]
        if faults:
            raise _faulty(faults)
        return self


class CoderbyteConnection(_Shape):
    """How to reach Coderbyte. The API key also signs its webhooks."""

    base_url: Url = "https://coderbyte.com/api"
    organization_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    api_key: SecretRef
    accepted_webhook_keys: list[SecretRef] = Field(default_factory=list)
    """Further keys whose signatures are accepted, during a rotation."""
    settings: Annotated[dict[str, Json], _Settings(CODERBYTE)] = Field(default_factory=dict)

    @field_validator("settings")
    @classmethod
    def _known(cls, value: dict[str, Json]) -> dict[str, Json]:
        return _check(value, CODERBYTE)


class AccountFile(_Shape):
    """One account."""

    account: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """The account's name; it never changes, since everything is kept under it."""
    greenhouse: GreenhouseConnection | None = None
    coderbyte: CoderbyteConnection | None = None
    custom_fields: list[str] = Field(default_factory=list)
    """Custom fields that may enter Trellis, by immutable key: `x`, `candidate.x` or `job.x`."""
    settings: Annotated[dict[str, Json], _Settings((*GREENHOUSE, *CODERBYTE))] = Field(default_factory=dict)
    """Settings of both connections by their full names; those of a connection win."""
    workflows: list[WorkflowDocument] = Field(default_factory=list)

    @field_validator("settings")
    @classmethod
    def _known(cls, value: dict[str, Json]) -> dict[str, Json]:
        return _check(value, (*GREENHOUSE, *CODERBYTE))

    @field_validator("workflows")
    @classmethod
    def _once(cls, value: list[WorkflowDocument]) -> list[WorkflowDocument]:
        names = [workflow.name for workflow in value]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"each workflow's name once; doubled: {', '.join(doubled)}")
        return value

    def all_settings(self) -> dict[str, Json]:
        """Return every setting given, the connections' own over the account's."""
        own = (self.greenhouse.settings if self.greenhouse else {}) | (
            self.coderbyte.settings if self.coderbyte else {}
        )
        return self.settings | own

    def references(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what stands where a secret may be named, with the path of its field."""
        found: list[tuple[tuple[str | int, ...], str | None]] = []
        if self.greenhouse is not None:
            names = ("client_id", "client_secret", "api_key", "webhook_secret")
            found += [(("greenhouse", name), getattr(self.greenhouse, name)) for name in names]
        if self.coderbyte is not None:
            found.append((("coderbyte", "api_key"), self.coderbyte.api_key))
            found += [
                (("coderbyte", "accepted_webhook_keys", index), key)
                for index, key in enumerate(self.coderbyte.accepted_webhook_keys)
            ]
        return [(loc, reference) for loc, reference in found if reference is not None]


def resolve(reference: str, environ: Mapping[str, str], folder: Path) -> str:
    """Return what *reference* names; a file's path is relative to *folder*, and other text stands for itself.

    Raises:
        InputError: The variable or the file is not there, or it is empty.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = environ.get(rest, "")
        if not value:
            raise InputError(reference, f"the environment variable {rest} to be set", f"export {rest}=…")
        return value
    if kind != "file" or not rest:
        return reference
    path = folder / os.path.expandvars(rest)
    try:
        value = path.read_text().strip("\r\n")
    except OSError:
        raise InputError(reference, f"the file {rest} to be readable", "create it, readable by you only") from None
    if not value:
        raise InputError(reference, f"the file {rest} not to be empty")
    return value
