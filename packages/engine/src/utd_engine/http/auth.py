"""Who is calling: an app's secret key, a user's bearer, or an app's publishable key."""

from datetime import timedelta
from typing import Final

from utd_engine.app.apps import Apps, Tenant, refused_key
from utd_engine.app.limits import Limiter
from utd_engine.app.tokens import RENEWAL, UserClaims, UserTokens, refused_token
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import SERVER, Actor
from utd_engine.http.call import Call
from utd_protocol.types import Identity, check_identity

_BEARER: Final = "bearer "
_SECRET: Final = "sk_"  # noqa: S105 how such keys begin


class Authenticator:
    """Fills in tenant, actor and claims of a call, or refuses it."""

    def __init__(self, apps: Apps, tokens: UserTokens, failures: Limiter) -> None:
        self._apps = apps
        self._tokens = tokens
        self._failures = failures

    async def app_key(self, call: Call) -> None:
        """The publishable key of an app, or its secret key.

        Raises:
            Refused: `unauthenticated` or `token_invalid`.
        """
        if await self._by_secret(call):
            return
        app_id, key = call.header(b"x-app-id"), call.header(b"x-app-key")
        if not app_id or not key:
            raise Refused(
                "unauthenticated",
                "X-App-Id and X-App-Key are missing.",
                hint="Send the app's id and its publishable key (pk_…) with every request.",
            )
        call.tenant = await self._apps.by_publishable(app_id, key)

    async def either(self, call: Call) -> None:
        """The app's key where one is sent, else a bearer: what LiveKit's own clients can send.

        A bearer beside the app's key is an identity token: their contract has no field for it.

        Raises:
            Refused: as `bearer` or `app_key`.
        """
        token = _bearer_token(call)
        if token is not None and call.header(b"x-app-key") is None:
            await self.bearer(call)
            return
        await self.app_key(call)
        if token is not None and call.actor.kind == "user":
            call.identity_token = token

    async def renewal(self, call: Call) -> None:
        """Like `bearer`, for who comes back late to renew it.

        Raises:
            Refused: `unauthenticated`, `token_invalid`, `token_expired` or `app_key_only`.
        """
        await self.bearer(call, late_by=RENEWAL)

    async def bearer(self, call: Call, *, late_by: timedelta = timedelta()) -> None:
        """A user's bearer or the app's secret key.

        Raises:
            Refused: `unauthenticated`, `token_invalid`, `token_expired` or `app_key_only`.
        """
        if await self._by_secret(call):
            return
        token = _bearer_token(call)
        if token is None:
            raise Refused(
                "unauthenticated",
                "The bearer is missing.",
                hint="Send 'Authorization: Bearer …' with the user token of a join or a session.",
            )
        claims = self._tokens.read(token, late_by=late_by)
        call.tenant = await self._tenant(call, claims)
        if b"x-act-as" in call.headers:
            raise Refused(
                "app_key_only",
                "Only the app's backend acts for somebody else.",
                hint="Leave X-Act-As out, or use the secret key (sk_…).",
            )
        call.claims = claims
        generation = claims.room.generation if claims.room else None
        identity = Identity(claims.sub)
        call.actor = Actor(
            kind="user", identity=identity, generation=generation, device=claims.device
        )

    async def secret(self, call: Call) -> None:
        """The app's secret key and nothing less.

        Raises:
            Refused: `app_key_only` for a user, else as `bearer`.
        """
        if await self._by_secret(call):
            return
        if _bearer_token(call) is None and call.header(b"x-app-key") is None:
            raise Refused(
                "unauthenticated", "The secret key is missing.", hint="Send 'Bearer sk_…'."
            )
        raise Refused(
            "app_key_only", "Only the app's backend may do this.", hint="Use the secret key (sk_…)."
        )

    def failed(self, call: Call) -> None:
        """Count a refused credential, so that nobody tries many.

        Raises:
            Refused: `rate_limited`.
        """
        self._failures.take(call.remote)

    async def _tenant(self, call: Call, claims: UserClaims) -> Tenant:
        tenant = await self._apps.get(claims.aud)
        if tenant is None or call.header(b"x-app-id") not in {None, claims.aud}:
            raise refused_token()
        return tenant

    async def _by_secret(self, call: Call) -> bool:
        token = _bearer_token(call)
        if token is None or not token.startswith(_SECRET):
            return False
        call.tenant = await self._apps.by_secret(token)
        if call.header(b"x-app-id") not in {None, call.tenant.app_id}:
            raise refused_key()
        call.actor = _acting_as(call)
        return True


def _acting_as(call: Call) -> Actor:
    raw = call.headers.get(b"x-act-as")
    if raw is None:
        return SERVER
    try:
        identity = check_identity(raw.decode("utf-8"), field="X-Act-As")
    except ValueError as error:
        raise Refused("invalid_request", str(error), field="X-Act-As") from error
    return Actor(kind="user", identity=identity)


def _bearer_token(call: Call) -> str | None:
    header = call.header(b"authorization")
    if header is None or not header.lower().startswith(_BEARER):
        return None
    return header[len(_BEARER) :].strip()
