"""Signs JSON Web Tokens with HS256: a fixed header, claims as JSON, nothing to choose."""

import hmac
from binascii import b2a_base64
from typing import Final

import orjson

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Signer:
    """Makes tokens of one purpose with one key."""

    def __init__(self, secret: bytes, *, typ: str = "JWT", kid: str | None = None) -> None:
        header = {"alg": "HS256", "typ": typ}
        if kid is not None:
            header["kid"] = kid
        self._secret = secret
        self._prefix = encode_part(orjson.dumps(header)) + b"."

    def sign(self, claims: object) -> str:
        """The token; `claims` is anything that JSON knows."""
        return self.seal(self._prefix + encode_part(orjson.dumps(claims)))

    def seal(self, content: bytes) -> str:
        """The content and its signature."""
        signature = hmac.digest(self._secret, content, "sha256")
        return (content + b"." + encode_part(signature)).decode("ascii")


def encode_part(part: bytes) -> bytes:
    """Base64 for URLs without padding (RFC 7515)."""
    return b2a_base64(part, newline=False).rstrip(b"=").translate(_URL_SAFE)
