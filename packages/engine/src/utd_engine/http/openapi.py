"""OpenAPI 3.1 from the rows of the route table and the structs of the protocol."""

import re
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from utd_engine.http.call import IDEMPOTENCY_KEY_CHARS
from utd_engine.http.routes import Row
from utd_protocol.errors import CODES, Problem
from utd_protocol.types import MAX_IDENTITY_BYTES, MAX_ROOM_NAME_BYTES, RoomType

_REFERENCE: Final = "#/components/schemas/{name}"
_SECURITY: Final[dict[str, list[dict[str, list[str]]]]] = {
    "app_key": [{"appId": [], "appKey": []}, {"secretKey": []}],
    "bearer": [{"userToken": []}, {"secretKey": []}],
    "either": [{"userToken": []}, {"appId": [], "appKey": []}, {"secretKey": []}],
    "renewal": [{"userToken": []}, {"secretKey": []}],
    "secret": [{"secretKey": []}],
}
_SCHEMES: Final = {
    "appId": {"type": "apiKey", "in": "header", "name": "X-App-Id"},
    "appKey": {"type": "apiKey", "in": "header", "name": "X-App-Key"},
    "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "utd-user+jwt"},
    "secretKey": {"type": "http", "scheme": "bearer", "description": "The app's sk_… key."},
}
_QUERY: Final[dict[str, dict[str, Any]]] = {
    "after": {"type": "integer", "minimum": 0},
    "limit": {"type": "integer", "minimum": 1},
    "cursor": {"type": "string"},
    "role": {"type": "string", "enum": ["host", "admin", "audience"]},
    "type": {"type": "string", "enum": [str(kind) for kind in RoomType]},
    "dry_run": {"type": "boolean"},
    "room_id": {"type": "string", "description": "With the secret key: this opening of the name."},
}
_PATH: Final[dict[str, dict[str, Any]]] = {
    "type": {"type": "string", "enum": [str(kind) for kind in RoomType]},
    "name": {"type": "string", "minLength": 1, "maxLength": MAX_ROOM_NAME_BYTES},
    "identity": {"type": "string", "minLength": 1, "maxLength": MAX_IDENTITY_BYTES},
    "id": {"type": "integer", "minimum": 1},
}
_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key again within 24 h gives the first answer and changes nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS},
}


@cache
def openapi(rows: tuple[Row, ...]) -> bytes:
    """The document, made once."""
    kinds: list[Any] = (
        [row.answer for row in rows] + [row.body for row in rows if row.body] + [Problem]
    )
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "utd engine",
            "version": "1",
            "description": "Live voice and video sessions on LiveKit. Every refusal is a Problem "
            "whose code is one of: " + ", ".join(CODES) + ".",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }
    return msgspec.json.encode(document, order="sorted")


def _operation(row: Row) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": row.summary,
        "operationId": _operation_id(row),
        "security": _SECURITY[row.who],
        "parameters": _parameters(row),
        "responses": {
            "200": _content("The answer.", _schema(row.answer)),
            "default": _content("A refusal.", _schema(Problem), "application/problem+json"),
        },
    }
    if row.needs:
        operation["x-capability"] = row.needs
    if row.body is not None:
        operation["requestBody"] = {
            "content": {"application/json": {"schema": _body(row.body, _names(row.path))}}
        }
    return operation


def _body(kind: type[Struct], in_path: list[str]) -> dict[str, Any]:
    """The schema of a body. What stands in the path is refused in the body, so it is left out."""
    reference = _schema(kind)
    if not set(in_path) & set(kind.__struct_fields__):
        return reference
    _, components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    schema = dict(components[kind.__name__])
    kept = {name: one for name, one in schema["properties"].items() if name not in in_path}
    required = [name for name in schema["required"] if name not in in_path]
    return schema | {"properties": kept, "required": required}


def _parameters(row: Row) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH[name]}
        for name in _names(row.path)
    ]
    query = [{"name": name, "in": "query", "schema": _QUERY[name]} for name in row.query]
    return path + query + ([_IDEMPOTENCY_KEY] if row.idempotent else [])


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _content(text: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _schema(kind: object) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    return schema


def _operation_id(row: Row) -> str:
    words = re.findall(r"\w+", row.path.removeprefix("/api/v1"))
    return "_".join([row.method.lower(), *words])
