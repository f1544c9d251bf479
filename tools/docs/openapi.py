"""The OpenAPI 3.1 documents of the services' HTTP APIs, from their routes, handlers and body models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from aiohttp import web
from pydantic import BaseModel

from trellis.assessments import internal_api as assessments
from trellis.assessments.erasure_api import ErasureApi
from trellis.common.dead_letters.api import DeadLettersApi
from trellis.common.ledger.api import LedgerApi
from trellis.common.runtime.health import Health, admin_app
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.metrics import Metrics
from trellis.common.setup.api import add_routes as add_findings
from trellis.common.setup.watch import Watch
from trellis.greenhouse_actions import internal_api as greenhouse_actions
from trellis.ingest.internal_api import InternalApi
from trellis.ingest.receiver import Receiver
from trellis.workflow.internal_api import internal_app

Json = dict[str, Any]

_PUBLIC: Final = "/webhooks/"
_ADMIN: Final = ("/health/", "/metrics")
_PARAMETERS: Final[dict[str, Json]] = {
    "account": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "description": "the tenant"},
    "application": {"type": "integer", "minimum": 1, "description": "Greenhouse's id of the application"},
    "candidate": {"type": "integer", "minimum": 1, "description": "Greenhouse's id of the candidate"},
    "endpoint_token": {"type": "string", "description": "unguessable; `trellis endpoints` prints the whole address"},
    "id": {"type": "string", "description": "of what stands before it in the path"},
    "order": {"enum": ["confirm", "redrive", "drop"]},
}
_TEXTS: Final = {
    200: "done",
    202: "taken in; what comes of it is told by the application's story",
    400: "no JSON",
    401: "not authenticated; nothing is said about why",
    403: "not for this caller",
    404: "this account has no such thing",
    409: "not in the state it is in",
    413: "larger than this service takes",
    415: "no plain body",
    422: "a field is wrong",
    503: "cannot answer now; try again after `Retry-After`",
}
_ERROR: Final[Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "field": {"type": "string", "description": "the path of the faulty field"},
        "expected": {"type": "string"},
        "remedy": {"type": "string"},
    },
}


def openapi() -> dict[str, Json]:
    """Return the document of each service, by the service's name."""
    return {name: _document(name, app) for name, app in _applications().items()}


def _applications() -> dict[str, web.Application]:
    """Return what serves each service's routes; their parts are never asked, so they are left empty."""
    keyring = Keyring.generate()
    ingest, inside = web.Application(), web.Application()
    _empty(Receiver).add_routes(ingest)
    _empty(InternalApi).add_routes(inside)
    add_findings(inside, _empty(Watch), prefix="/v1")
    _empty(DeadLettersApi).add_routes(inside, prefix="/v1")
    ingest.add_subapp("/internal", inside)
    effects = [
        (module.application, _empty(module.Api))  # type: ignore[attr-defined, unused-ignore]
        for module in (greenhouse_actions, assessments)
    ]
    for _, api in effects:
        object.__setattr__(api, "effects", _empty(LedgerApi))
    others = {
        "workflow": internal_app(cast("Any", None), keyring, lambda: None),
        "greenhouse-actions": effects[0][0](effects[0][1], keyring),
        "assessments": effects[1][0](effects[1][1], keyring),
    }
    for app in others.values():
        add_findings(app, _empty(Watch))
        _empty(DeadLettersApi).add_routes(app)
    _empty(ErasureApi).add_routes(others["assessments"])
    served = {"ingest": ingest, **others}
    for app in served.values():
        app.add_routes(_admin_routes())
    return served


def _admin_routes() -> list[web.RouteDef]:
    admin = admin_app(_empty(Health), _empty(Metrics))
    return [
        web.RouteDef(route.method, route.resource.canonical, route.handler, {})
        for route in admin.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


def _empty(kind: type[Any]) -> Any:
    return object.__new__(kind)


def _document(service: str, app: web.Application) -> Json:
    paths: Json = {}
    schemas: Json = {"Error": _ERROR}
    for method, path, handler in sorted(_routes(app), key=lambda route: (route[1], route[0])):
        paths.setdefault(path, {})[method.lower()] = _operation(path, handler, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Trellis {service}",
            "version": "1",
            "description": "`/webhooks/` is for the vendors and the only part that may be reached from outside. `/internal/` asks "
            "for a service token: a JWT of a minute, for this service, signed with the key ring. `/health/` and `/metrics` are "
            "served by the admin address and ask for nothing.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {str(status): _response(status) for status in _TEXTS if status >= 400},
            "securitySchemes": {"service": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _routes(app: web.Application) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for route in app.router.routes():
        if route.resource is not None and route.method != "HEAD":
            yield route.method, route.resource.canonical, route.handler


def _operation(path: str, handler: Callable[..., Any], schemas: Json) -> Json:
    code = inspect.getsource(handler)
    said = inspect.getdoc(handler)
    if not said:
        raise LookupError(f"{path}: {handler.__qualname__} has no docstring to be told by")
    summary, _, rest = said.partition("\n")
    operation: Json = {"summary": summary.rstrip(".")}
    if rest.strip():
        operation["description"] = rest.strip()
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        for name in re.findall(r"{([\w-]+)}", path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": required, "schema": {"type": "string"}}
        for name, required in _queries(code)
    ]
    if parameters:
        operation["parameters"] = parameters
    model = _body_model(handler)
    if model is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _schema(model, schemas)}},
        }
    elif path.startswith(_PUBLIC):
        operation["requestBody"] = {"required": True, "content": {"application/json": {}}}
    elif re.search(r"\bbody_of\(|_parsed\(", code):
        raise LookupError(f"{path}: the model of the body is not found")
    operation["responses"] = _responses(path, code, takes_body=model is not None)
    if not path.startswith((_PUBLIC, *_ADMIN)):
        operation["security"] = [{"service": []}]
    return operation


def _queries(code: str) -> list[tuple[str, bool]]:
    """Return each query parameter that *code* reads, and whether it must be there: what is empty without is refused."""
    found = re.findall(r'request\.query\.get\("(\w+)"(?:, (.+?))?\)', code)
    return [(name, default == '""') for name, default in found]


def _body_model(handler: Callable[..., Any], depth: int = 2) -> type[BaseModel] | None:
    """Return the model by which *handler*, or a function of ours that it calls, reads its body."""
    code, module = inspect.getsource(handler), inspect.getmodule(handler)
    named = re.search(r"\b_?parsed(?:_as)?\((?:request, )?(\w+)", code)
    model = getattr(module, named[1], None) if named else None
    if inspect.isclass(model) and issubclass(model, BaseModel):
        return model
    for called in re.findall(r"\b((?:bodies\.)?_?\w+)\(", code) if depth else []:
        target: Any = module
        for part in called.split("."):
            target = getattr(target, part, None)
        if inspect.isfunction(target) and target is not handler and target.__module__.startswith("trellis."):
            found = _body_model(target, depth - 1)
            if found is not None:
                return found
    return None


def _schema(model: type[BaseModel], schemas: Json) -> Json:
    shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
    own = model.__name__.strip("_").removesuffix("Body") + "Body"
    for name, part in {**shape.pop("$defs", {}), own: shape | {"title": own}}.items():
        if schemas.setdefault(name, part) != part:
            raise LookupError(f"two shapes are called {name}")
    return {"$ref": f"#/components/schemas/{own}"}


def _responses(path: str, code: str, *, takes_body: bool) -> Json:
    if path.startswith(_PUBLIC):
        return {str(status): {"description": _TEXTS[status]} for status in (200, 401, 413, 415, 503)}
    if path.startswith(_ADMIN):
        statuses = [200, 503] if path.endswith("ready") else [200]
        kind = "text/plain" if path == "/metrics" else "application/json"
        return {str(status): {"description": _TEXTS[status], "content": {kind: {}}} for status in statuses}
    stated = {int(text) for text in re.findall(r"status=([1-5]\d\d)", code)}
    good = {status for status in stated if status < 300} or {200}
    bad = {status for status in stated if status >= 400} | {401, 503}
    if takes_body or "{" in path:
        bad |= {422}
    if takes_body:
        bad |= {400}
    told = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(bad)}
    return {str(status): _response(status) for status in sorted(good)} | told


def _response(status: int) -> Json:
    shape = {"schema": {"$ref": "#/components/schemas/Error"}} if status >= 400 else {}
    return {"description": _TEXTS[status], "content": {"application/json": shape}}
