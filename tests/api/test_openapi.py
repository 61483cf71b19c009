"""The document of the wire: the one in the repository, true, and no request of it gives a 5xx (S4).

Cases come from the schema by schemathesis, right ones and wrong ones. They go to an engine that
lives as long as the test, so each meets what the ones before have left.
"""

import asyncio
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from support.asgi import raw_call
from support.route_cases import ROWS

from utd_engine.http.openapi import openapi
from utd_engine.http.routes import ROUTES
from utd_engine.testing import Answer, EngineUnderTest
from utd_protocol.errors import CODES, Problem

EXAMPLES: Final = int(os.environ.get("UTD_SCHEMA_EXAMPLES", "6"))
"""For each operation and each mode. Before a release 110 of them make more than 10,000 cases."""
DOCUMENT: Final[dict[str, Any]] = json.loads(openapi(ROUTES))
CALLERS: Final = ("ana", "bo", "secret", "secret for bo")


def tool() -> ModuleType:
    path = Path(__file__).parents[2] / "tools/openapi_page.py"
    spec = importlib.util.spec_from_file_location("openapi_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_in_the_repository_is_the_one_that_is_served() -> None:
    page = tool()
    assert page.page() == page.PAGE.read_text(), "run: python tools/openapi_page.py"


async def test_the_engine_serves_the_document() -> None:
    async with EngineUnderTest.start() as engine:
        answer = await engine.call("GET", "/openapi.json")
        assert answer.json() == DOCUMENT


def test_every_row_is_an_operation_with_a_name_of_its_own() -> None:
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == set(ROWS)
    assert len({one["operationId"] for one in operations.values()}) == len(operations)
    for name, operation in operations.items():
        assert operation["summary"].endswith(".") or operation["summary"][-1].isalpha(), name
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == {part[1:-1] for part in name.split("/") if part.startswith("{")}


def test_what_stands_in_the_path_is_not_asked_for_in_the_body() -> None:
    path = DOCUMENT["paths"]["/api/v1/rooms/{type}/{name}/members/{identity}"]["patch"]
    schema = path["requestBody"]["content"]["application/json"]["schema"]
    assert (list(schema["properties"]), schema["required"]) == (["role"], ["role"])
    assert schema["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(DOCUMENT["components"]["schemas"])
    for code in CODES:
        assert code in DOCUMENT["info"]["description"]


# --- cases from the schema ------------------------------------------------------------------------


class Stand:
    """An engine in a loop of its own, with a lobby that is opened again whenever it has ended."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._starting = EngineUnderTest.start()
        self.engine = self._runner.run(self._starting.__aenter__())
        self.engine.sfu.on_webhook = lambda _event: None
        self.bearers: dict[str, str] = {}

    def close(self) -> None:
        self._runner.run(self._starting.__aexit__(None, None, None))
        self._runner.close()

    def send(self, case: Any, who: str, *, at_home: bool) -> Answer:
        return self._runner.run(self._send(case, who, at_home=at_home))

    async def _send(self, case: Any, who: str, *, at_home: bool) -> Answer:
        await self._prepare()
        if at_home and "name" in (case.path_parameters or {}):
            case.path_parameters |= {"type": "audio_room", "name": "lobby"}
        body = case.body
        if not isinstance(body, bytes):
            body = b"" if type(body).__name__ == "NotSet" else json.dumps(body).encode()
        generated = {
            name.lower().encode("latin-1", "replace"): str(text).encode("latin-1", "replace")
            for name, text in (case.headers or {}).items()
        }
        query = urlencode(case.query or {}, doseq=True).encode()
        calling = asyncio.ensure_future(
            raw_call(
                self.engine.engine.public, case.method, case.formatted_path.encode(),
                body=body, headers=(generated | self._credentials(who)).items(), query=query,
            )
        )  # fmt: skip
        await self.engine.clock.settle()
        while not calling.done():
            await self.engine.clock.advance(0.1)
        return await calling

    async def _prepare(self) -> None:
        engine = self.engine
        host = await engine.join("ana", role="host", enter=False)
        bo = await engine.call(
            "POST", "/api/v1/token",
            {"type": "audio_room", "room_name": "lobby", "identity": "bo"}, bearer="secret",
        )  # fmt: skip
        self.bearers["ana"] = host.user_token
        if bo.status == 200:
            self.bearers["bo"] = bo.json()["user_token"]

    def _credentials(self, who: str) -> dict[bytes, bytes]:
        engine = self.engine
        key = {b"x-app-id": engine.app_id.encode(), b"x-app-key": engine.app_key.encode()}
        if who.startswith("secret"):
            sent = {b"authorization": f"Bearer {engine.secret_key}".encode()}
            return sent | ({b"x-act-as": b"bo"} if who == "secret for bo" else {})
        return key | {b"authorization": f"Bearer {self.bearers[who]}".encode()}


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


OPERATIONS: Final = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (
        result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    )
}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("name", ROWS)
def test_no_request_of_the_schema_or_beside_it_breaks_the_engine(
    name: str, mode: GenerationMode, stand: Stand
) -> None:
    row = ROWS[name]

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(
        case=OPERATIONS[name].as_strategy(generation_mode=mode),
        who=st.sampled_from(CALLERS),
        at_home=st.integers(0, 3),
    )
    def run(case: Any, who: str, at_home: int) -> None:
        answer = stand.send(case, who, at_home=bool(at_home))
        assert answer.status < 500, answer.body
        if answer.status == 200:
            msgspec.json.decode(answer.body, type=row.answer)
        else:
            problem = msgspec.json.decode(answer.body, type=Problem)
            assert answer.status == problem.status == CODES[problem.code][0]

    run()
