"""Who somebody is: what proves an identity in each mode of an app."""

from collections import OrderedDict
from typing import Final

from utd_engine.app.admission import Person
from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.tokens import Bearer, IdentityTokens, UserTokens
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import Actor
from utd_engine.ports.clock import Clock, Ids
from utd_protocol.answers import SessionRequest, TokenRequest
from utd_protocol.types import check_identity

WINDOW_S: Final = 60.0


class Entrance:
    """Turns a claim into a person, or refuses it."""

    def __init__(
        self, identities: IdentityTokens, users: UserTokens, bans: Bans, clock: Clock, ids: Ids
    ) -> None:
        self._identities = identities
        self._users = users
        self._bans = bans
        self._clock = clock
        self._ids = ids
        self._recent: dict[str, OrderedDict[str, float]] = {}

    def person(self, tenant: Tenant, actor: Actor, wish: TokenRequest | SessionRequest) -> Person:
        """The person behind a request for a token.

        The app's backend is believed. In development the publishable key alone is believed, within
        caps; in production only an identity token is.

        Raises:
            Refused: `app_key_only`, `token_invalid`, `token_expired`, `rate_limited` or
                `invalid_request`.
        """
        device = wish.device_id or self._ids.new("dev")
        name = wish.name or ""
        _refuse_another(actor, wish.identity)
        if wish.identity_token is not None:
            return self._identified(tenant, wish, device)
        if actor.kind == "server" or actor.identity is not None:
            return Person(wish.identity, device, name)
        if tenant.mode == "production":
            raise Refused(
                "app_key_only",
                "In production the publishable key proves which app, never who.",
                hint="Let the app's backend sign an identity token and send it as "
                "'identity_token', or mint with the secret key.",
            )
        self._refuse_crowd(tenant, wish.identity)
        return Person(wish.identity, device, name, unproven=True)

    def subject(self, tenant: Tenant, identity_token: str) -> str:
        """Whom an identity token is about.

        Raises:
            Refused: `token_invalid` or `token_expired`.
        """
        return self._identities.read(tenant.app_id, identity_token).sub

    async def session(self, tenant: Tenant, person: Person) -> Bearer:
        """A bearer without a room, unless the app has banned them."""
        await self._bans.refuse(tenant.app_id, person.identity, "")
        return self._users.mint(
            tenant.app_id,
            person.identity,
            person.device,
            name=person.name,
            unproven=person.unproven,
        )

    def _identified(
        self, tenant: Tenant, wish: TokenRequest | SessionRequest, device: str
    ) -> Person:
        claims = self._identities.read(tenant.app_id, wish.identity_token or "")
        if claims.sub != wish.identity:
            raise Refused(
                "token_invalid",
                "The identity token is for somebody else.",
                hint="'identity' must be the token's 'sub'.",
            )
        try:
            check_identity(claims.sub)
        except ValueError as error:
            raise Refused("invalid_request", str(error), field="identity_token") from error
        hosts = None if tenant.mode == "development" else claims.hosts
        return Person(claims.sub, device, claims.name or wish.name or "", hosts)

    def _refuse_crowd(self, tenant: Tenant, identity: str) -> None:
        """Development is for trying out: not for more identities at once than the app allows."""
        now = self._clock.monotonic()
        recent = self._recent.setdefault(tenant.app_id, OrderedDict())
        while recent and next(iter(recent.values())) <= now - WINDOW_S:
            recent.popitem(last=False)
        most = tenant.settings.development_identities
        if identity not in recent and len(recent) >= most:
            raise Refused(
                "rate_limited",
                f"Development mode lets {most} identities in within a minute.",
                hint="Use identity tokens, or raise the app's 'development_identities'.",
                retry_after=round(next(iter(recent.values())) + WINDOW_S - now, 3),
            )
        recent[identity] = now
        recent.move_to_end(identity)


def _refuse_another(actor: Actor, identity: str) -> None:
    """A backend that acts for a user mints for that user."""
    if actor.identity not in {None, identity}:
        raise Refused(
            "invalid_request",
            f"X-Act-As is {actor.identity!r}, but 'identity' is {identity!r}.",
            hint="Leave X-Act-As out: the secret key mints for anybody.",
            field="identity",
        )
