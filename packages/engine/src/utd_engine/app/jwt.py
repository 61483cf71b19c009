"""Signs JSON Web Tokens with HS256: a fixed header, claims as JSON, nothing to choose."""

import hmac
from binascii import b2a_base64

import orjson


class Signer:
    """Makes tokens of one purpose with one key."""

    def __init__(self, secret: bytes, *, typ: str = "JWT", kid: str | None = None) -> None:
        header = {"alg": "HS256", "typ": typ}
        if kid is not None:
            header["kid"] = kid
        self._keyed = hmac.new(secret, digestmod="sha256")
        self._prefix = encode_part(orjson.dumps(header)) + b"."

    def sign(self, claims: object) -> str:
        """The token; `claims` is anything that JSON knows."""
        return self.sign_json(orjson.dumps(claims))

    def sign_json(self, claims: bytes) -> str:
        """The same for claims that are JSON already."""
        return self.seal(self._prefix + encode_part(claims))

    def seal(self, content: bytes) -> str:
        """The content and its signature."""
        keyed = self._keyed.copy()  # hashing the key itself costs as much as a token does
        keyed.update(content)
        return (content + b"." + encode_part(keyed.digest())).decode("ascii")


def encode_part(part: bytes) -> bytes:
    """Base64 for URLs without padding (RFC 7515)."""
    encoded = b2a_base64(part, newline=False).rstrip(b"=")
    return encoded.replace(b"+", b"-").replace(b"/", b"_")
