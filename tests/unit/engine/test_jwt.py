"""The signer: RFC 7515's own vector, and what another library makes of its tokens."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utd_engine.app.jwt import Signer, encode_part

SECRET = b"a secret of thirty-two bytes, or more"
TEXT = st.text(st.characters(max_codepoint=0x17F), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def test_the_signature_is_the_one_of_rfc_7515() -> None:
    """Appendix A.1: its header and payload have line breaks, so they are given as they are."""
    secret = urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    header, payload = (
        b'{"typ":"JWT",\r\n "alg":"HS256"}',
        b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}',
    )
    content = encode_part(header) + b"." + encode_part(payload)
    assert Signer(secret).seal(content) == (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )


@given(claims=st.dictionaries(st.sampled_from(["name", "room", "video"]), JSON, max_size=3))
def test_another_library_reads_what_was_signed(claims: dict[str, Any]) -> None:
    token = Signer(SECRET, typ="utd-user+jwt", kid="k1").sign(claims)
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == claims
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "utd-user+jwt", "kid": "k1"}
    assert not set("+/=") & set(token)


def test_the_header_has_no_kid_unless_given() -> None:
    header = urlsafe_b64decode(Signer(SECRET).sign({}).split(".")[0] + "==")
    assert json.loads(header) == {"alg": "HS256", "typ": "JWT"}


def test_another_key_does_not_verify_it() -> None:
    token = Signer(SECRET).sign({"sub": "ana"})
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET + b"x", algorithms=["HS256"])
