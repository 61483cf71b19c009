"""The operator's port: apps and keys under `/admin/v1`, probes, metrics."""

import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from utd_engine.app.apps import Apps, AppSettings, NewKey, Tenant
from utd_engine.app.tokens import IdentityTokens
from utd_engine.domain.refusal import Refused
from utd_engine.http.call import Call
from utd_engine.http.endpoint import read_body, request_id_of, respond
from utd_engine.http.problem import encode, problem_of
from utd_engine.http.server import OwnRoute, RawPath, SafetyHeaders, routed
from utd_engine.ports.clock import Clock
from utd_engine.ports.store import Store, StoreUnavailable

READY_KEPT_S: Final = 1.0
READY_WITHIN_S: Final = 2.0
_JSON: Final = (b"content-type", b"application/json")
_encoder: Final = msgspec.json.Encoder()


class NewApp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /admin/v1/apps`."""

    name: str
    mode: Literal["development", "production"] = "production"
    app_id: str | None = None
    settings: AppSettings = AppSettings()


class AppChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PATCH /admin/v1/apps/{app_id}`: what is absent stays."""

    mode: Literal["development", "production"] | None = None
    settings: AppSettings | None = None


class NewKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /admin/v1/apps/{app_id}/keys`."""

    kind: Literal["publishable", "secret"]


class AppInfo(Struct, frozen=True, kw_only=True):
    """An app as the operator sees it."""

    app_id: str
    name: str
    mode: str
    settings: AppSettings


class CreatedApp(Struct, frozen=True, kw_only=True):
    """A new app with its secrets, which are shown this once."""

    app_id: str
    name: str
    mode: str
    app_key: str
    secret_key: str
    identity_secret: str


class KeyInfo(Struct, frozen=True, kw_only=True):
    """A key by its first characters."""

    kind: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class CreatedKey(Struct, frozen=True, kw_only=True):
    """A new key, shown this once."""

    kind: str
    key: str
    prefix: str


class Health(Struct, frozen=True, kw_only=True):
    """What a probe answers."""

    status: Literal["ok", "degraded", "unavailable"]
    media: Literal["ok", "unavailable"] | None = None
    detail: str | None = None


class AdminAPI:
    """Handlers of `/admin/v1`."""

    def __init__(self, apps: Apps, identities: IdentityTokens) -> None:
        self._apps = apps
        self._identities = identities

    async def list_apps(self, call: Call) -> dict[str, list[AppInfo]]:
        """Every app."""
        del call
        return {"items": [_info(tenant) for tenant in await self._apps.all()]}

    async def create_app(self, call: Call) -> CreatedApp:
        """A new app and its first keys."""
        wish = call.parse(msgspec.json.Decoder(NewApp))
        tenant, publishable, secret = await self._apps.create(
            wish.name, wish.mode, wish.settings, wish.app_id
        )
        return CreatedApp(
            app_id=tenant.app_id,
            name=tenant.name,
            mode=tenant.mode,
            app_key=publishable.key,
            secret_key=secret.key,
            identity_secret=self._identities.secret(tenant.app_id),
        )

    async def change_app(self, call: Call) -> AppInfo:
        """Another mode, or other defaults."""
        wish = call.parse(msgspec.json.Decoder(AppChange))
        tenant = await self._apps.update(
            call.params["app_id"], mode=wish.mode, settings=wish.settings
        )
        return _info(tenant)

    async def list_keys(self, call: Call) -> dict[str, list[KeyInfo]]:
        """An app's keys, revoked ones too."""
        rows = await self._apps.keys(call.params["app_id"])
        return {
            "items": [
                KeyInfo(
                    kind=row.kind,
                    prefix=row.prefix,
                    created_at=row.created_at,
                    revoked_at=row.revoked_at,
                )
                for row in rows
            ]
        }

    async def add_key(self, call: Call) -> CreatedKey:
        """One more key."""
        wish = call.parse(msgspec.json.Decoder(NewKeyRequest))
        key: NewKey = await self._apps.add_key(call.params["app_id"], wish.kind)
        return CreatedKey(kind=key.kind, key=key.key, prefix=key.prefix)

    async def revoke_key(self, call: Call) -> dict[str, bool]:
        """Stop honouring a key."""
        done = await self._apps.revoke_key(call.params["app_id"], call.params["prefix"])
        if not done:
            raise Refused("not_found", f"The app has no key {call.params['prefix']!r}.")
        return {"revoked": True}


def admin_app(
    api: AdminAPI,
    token: str,
    probes: "Probes",
    registry: CollectorRegistry,
    new_id: Callable[[str], str],
) -> ASGIApp:
    """What the operator's port serves."""
    rows: list[tuple[str, str, Callable[[Call], Awaitable[Any]]]] = [
        ("GET", "/admin/v1/apps", api.list_apps),
        ("POST", "/admin/v1/apps", api.create_app),
        ("PATCH", "/admin/v1/apps/{app_id}", api.change_app),
        ("GET", "/admin/v1/apps/{app_id}/keys", api.list_keys),
        ("POST", "/admin/v1/apps/{app_id}/keys", api.add_key),
        ("DELETE", "/admin/v1/apps/{app_id}/keys/{prefix}", api.revoke_key),
    ]
    routes = [
        OwnRoute(path, _AdminEndpoint(handler, token, new_id), methods=[method])
        for method, path, handler in rows
    ]
    routes += [
        OwnRoute("/livez", _Probe(probes.live), methods=["GET"]),
        OwnRoute("/readyz", _Probe(probes.ready), methods=["GET"]),
        OwnRoute("/startupz", _Probe(probes.started), methods=["GET"]),
        OwnRoute("/metrics", _Metrics(registry), methods=["GET"]),
    ]
    return SafetyHeaders(RawPath(routed(routes, new_id)), https=False)


class Probes:
    """What orchestrators ask. The media server's trouble is `degraded`, never unready."""

    def __init__(self, store: Store, media_ok: Callable[[], bool], clock: Clock) -> None:
        self._store = store
        self._media_ok = media_ok
        self._clock = clock
        self._checked = (-READY_KEPT_S, "")
        self.is_started = False
        self.is_draining = False

    async def live(self) -> Health:
        """The process answers at all."""
        return Health(status="ok")

    async def started(self) -> Health:
        """The schema is there and the first sweep has begun."""
        if self.is_started:
            return Health(status="ok")
        return Health(status="unavailable", detail="starting")

    async def ready(self) -> Health:
        """A write would succeed, and no stop has begun."""
        if self.is_draining or not self.is_started:
            return Health(
                status="unavailable", detail="draining" if self.is_draining else "starting"
            )
        trouble = await self._store_trouble()
        if trouble:
            return Health(status="unavailable", detail=trouble)
        media = self._media_ok()
        return Health(status="ok" if media else "degraded", media="ok" if media else "unavailable")

    async def _store_trouble(self) -> str:
        """Why a write would fail, or nothing; asked once a second, however many ask."""
        at, trouble = self._checked
        if self._clock.monotonic() - at < READY_KEPT_S:
            return trouble
        try:
            await self._clock.within(READY_WITHIN_S, self._store.ping())
        except StoreUnavailable as error:
            trouble = str(error)
        except TimeoutError:
            trouble = f"The database did not take a write within {READY_WITHIN_S:g} s."
        else:
            trouble = ""
        self._checked = (self._clock.monotonic(), trouble)
        return trouble


class _AdminEndpoint:
    def __init__(
        self,
        handler: Callable[[Call], Awaitable[Any]],
        token: str,
        new_id: Callable[[str], str],
    ) -> None:
        self._handler = handler
        self._token = token
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope, self._new_id)
        try:
            call = Call(scope, request_id)
            call.body = await read_body(receive)
            self._authorize(call)
            status, body = 200, _encoder.encode(await self._handler(call))
            kind = _JSON
        except Exception as error:  # noqa: BLE001 the one place where errors become answers
            problem = problem_of(error, request_id)
            status, body = problem.status, encode(problem)
            kind = (b"content-type", b"application/problem+json")
        headers = [kind, (b"cache-control", b"no-store"), (b"x-request-id", request_id.encode())]
        await respond(send, status, headers, body)

    def _authorize(self, call: Call) -> None:
        if not self._token:
            raise Refused(
                "not_found", "The admin API is off.", hint="Set admin.token or UTD_ADMIN_TOKEN."
            )
        given = (call.header(b"authorization") or "").encode()
        if not hmac.compare_digest(given, b"Bearer " + self._token.encode()):
            raise Refused(
                "unauthenticated", "The admin token is missing or wrong.", hint="Send 'Bearer …'."
            )


class _Probe:
    def __init__(self, probe: Callable[[], Awaitable[Health]]) -> None:
        self._probe = probe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        health = await self._probe()
        status = 503 if health.status == "unavailable" else 200
        await respond(send, status, [_JSON], _encoder.encode(health))


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        await respond(send, 200, [kind], generate_latest(self._registry))


def _info(tenant: Tenant) -> AppInfo:
    return AppInfo(
        app_id=tenant.app_id, name=tenant.name, mode=tenant.mode, settings=tenant.settings
    )
