"""Tokens that must open no door: what somebody may make of one that does (RFC 8725)."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt

from utd_engine.adapters.memory.media import MEMORY_KEY
from utd_engine.app.tokens import LEEWAY_S, MAX_TOKEN_CHARS, USER_TOKEN_TYP, derive
from utd_engine.testing import EngineUnderTest
from utd_engine.testing._engine import MASTER

KEY = derive(MASTER.encode(), "user-token")
NEVER_OURS = b"another key of thirty-two bytes!!"


def part(content: object) -> str:
    """A segment: JSON, or bytes as they are."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, claims: object, key: bytes = KEY, digest: str = "sha256") -> str:
    """A token of any header and claims."""
    content = f"{part(header)}.{part(claims)}"
    return f"{content}.{part(hmac.digest(key, content.encode(), digest))}"


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, unverified."""
    header, claims, _ = (urlsafe_b64decode(one + "==") for one in token.split("."))
    return json.loads(header), json.loads(claims)


def identity_token(engine: EngineUnderTest, identity: str, **changes: Any) -> str:
    """What the app's backend would sign; a change to None leaves a claim out."""
    now = int(engine.clock.now().timestamp())
    claims = {"sub": identity, "aud": engine.app_id, "iat": now, "exp": now + 600} | changes
    secret = engine.engine.identities.secret(engine.app_id)
    return jwt.encode({key: value for key, value in claims.items() if value is not None}, secret)


def forged(good: str) -> dict[str, str]:
    """Variations of a valid user token by what is wrong with them, all for `token_invalid`."""
    header, claims = opened(good)
    kid = header["kid"]
    first, second, signature = good.split(".")

    def head(**changes: Any) -> str:
        return signed(header | changes, claims)

    def body(**changes: Any) -> str:
        return signed(header, claims | changes)

    def without(name: str) -> str:
        return signed(header, {key: value for key, value in claims.items() if key != name})

    def headless(name: str) -> str:
        return signed({key: value for key, value in header.items() if key != name}, claims)

    found = {
        "nothing": ".",
        "no dots": "nonsense",
        "two parts": f"{first}.{second}",
        "four parts": f"{good}.{signature}",
        "five parts, as a JWE": f"{good}.{signature}.{signature}",
        "empty parts": "..",
        "no signature": f"{first}.{second}.",
        "no header": f".{second}.{signature}",
        "no claims": f"{first}..{signature}",
        "not base64": f"{first}.{second}.!!!!",
        "not ASCII": f"{first}.{second}é.{signature}",
        "header no JSON": f"{part(b'{')}.{second}.{signature}",
        "header no object": signed(["HS256"], claims),
        "header null": signed(None, claims),
        "header nested deep": f"{part(b'[' * 2800)}.{second}.{signature}",
        "claims no JSON": signed(header, b"{"),
        "claims no object": signed(header, [1]),
        "claims null": signed(header, None),
        "claims text": signed(header, "ana"),
        "claims nested deep": signed(header, b"[" * 2600),
        "claims no UTF-8": signed(header, b'{"sub":"\xff"}'),
        "alg none": f"{part(header | {'alg': 'none'})}.{second}.",
        "alg None": f"{part(header | {'alg': 'None'})}.{second}.",
        "alg nOnE with a signature": head(alg="nOnE"),
        "alg empty": head(alg=""),
        "alg null": head(alg=None),
        "alg number": head(alg=256),
        "alg list": head(alg=["HS256"]),
        "alg missing": headless("alg"),
        "alg lower case": head(alg="hs256"),
        "alg RS256": head(alg="RS256"),
        "alg ES256": head(alg="ES256"),
        "alg PS256": head(alg="PS256"),
        "alg EdDSA": head(alg="EdDSA"),
        "alg HS384": signed(header | {"alg": "HS384"}, claims, digest="sha384"),
        "alg HS512": signed(header | {"alg": "HS512"}, claims, digest="sha512"),
        "HS384 called HS256": signed(header, claims, digest="sha384"),
        "typ missing": headless("typ"),
        "typ JWT": head(typ="JWT"),
        "typ upper case": head(typ=USER_TOKEN_TYP.upper()),
        "typ of a list": head(typ=[USER_TOKEN_TYP]),
        "kid missing": headless("kid"),
        "kid unknown": head(kid="00000000"),
        "kid empty": head(kid=""),
        "kid null": head(kid=None),
        "kid number": head(kid=7),
        "kid list": head(kid=[kid]),
        "kid object": head(kid={"kid": kid}),
        "kid path": head(kid="../../../../dev/null"),
        "kid file": signed(header | {"kid": "/dev/null"}, claims, b""),
        "kid URL": head(kid="https://evil.example/key"),
        "kid SQL": head(kid="' OR 1=1 --"),
        "kid with a space": head(kid=kid + " "),
        "crit unknown": head(crit=["exp"]),
        "b64 false": head(b64=False, crit=["b64"]),
        "jwk of the attacker": signed(
            {"alg": "HS256", "typ": USER_TOKEN_TYP, "jwk": {"kty": "oct", "k": part(NEVER_OURS)}},
            claims,
            NEVER_OURS,
        ),
        "jku of the attacker": signed(header | {"jku": "https://evil.example"}, claims, NEVER_OURS),
        "another key": signed(header, claims, NEVER_OURS),
        "empty key": signed(header, claims, b""),
        "the master secret itself": signed(header, claims, MASTER.encode()),
        "the key of identity tokens": signed(
            header, claims, derive(MASTER.encode(), "identity-token", claims["aud"], "1")
        ),
        "LiveKit's key": signed(header, claims, MEMORY_KEY.secret.encode()),
        "the kid as the key": signed(header, claims, kid.encode()),
        "exp missing": without("exp"),
        "exp null": body(exp=None),
        "exp text": body(exp=str(claims["exp"])),
        "exp true": body(exp=True),
        "exp list": body(exp=[claims["exp"]]),
        "exp infinite": signed(header, _raw(claims, "exp", "Infinity")),
        "exp not a number": signed(header, _raw(claims, "exp", "NaN")),
        "exp of many digits": signed(header, _raw(claims, "exp", "9" * 1000)),
        "lives too long": body(exp=claims["exp"] + 1),
        "nbf missing": without("nbf"),
        "nbf text": body(nbf="0"),
        "not yet": body(nbf=claims["nbf"] + LEEWAY_S + 1, exp=claims["nbf"] + LEEWAY_S + 60),
        "iss missing": without("iss"),
        "iss wrong": body(iss="livekit"),
        "iss list": body(iss=["utd"]),
        "aud missing": without("aud"),
        "aud unknown": body(aud="no-such-app"),
        "aud list": body(aud=[claims["aud"]]),
        "aud empty": body(aud=""),
        "sub missing": without("sub"),
        "sub number": body(sub=7),
        "sub null": body(sub=None),
        "device missing": without("device"),
        "room no object": body(room="lobby"),
        "room without an id": body(room={"type": "audio_room", "name": "lobby"}),
        "a claim twice": signed(header, _twice(claims, "sub", "root")),
        "a header twice": signed(_twice(header, "alg", "none"), claims),
        "too long": body(name="x" * MAX_TOKEN_CHARS),
        "signature cut": good[:-1],
        "signature longer": good + "AA",
        "a space before": " " * 2 + good[:10] + " " + good[10:],
        "claims of another": f"{first}.{part(claims | {'sub': 'root'})}.{signature}",
        "SHA-1": signed(header, claims, digest="sha1"),
        "hash without a key": f"{first}.{second}."
        + part(hashlib.sha256(f"{first}.{second}".encode()).digest()),
    }
    return found | _bit_flips(good)


def _raw(claims: dict[str, Any], name: str, value: str) -> bytes:
    rest = {key: one for key, one in claims.items() if key != name}
    return json.dumps(rest).encode()[:-1] + f',"{name}":{value}}}'.encode()


def _twice(content: dict[str, Any], name: str, other: str) -> bytes:
    """The name first with another value, so that the last one is the right one."""
    return f'{{"{name}":"{other}",'.encode() + json.dumps(content).encode()[1:]


def _bit_flips(good: str) -> dict[str, str]:
    """One bit of each part at a few places."""
    parts = good.split(".")
    found: dict[str, str] = {}
    for number, encoded in enumerate(parts):
        data = urlsafe_b64decode(encoded + "==")
        for at in (0, len(data) // 2, len(data) - 1):
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            token = ".".join(
                part(flipped) if index == number else one for index, one in enumerate(parts)
            )
            found[f"bit flip in part {number} at {at}"] = token
    return found
