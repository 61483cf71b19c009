"""The closed list of codes."""

import msgspec
import pytest

from utd_protocol.errors import CODES, FieldError, Problem, status_of, title_of

BY_STATUS = {
    400: "invalid_request",
    401: "unauthenticated token_expired token_invalid",
    403: "not_allowed banned kicked app_key_only not_room_host invite_required request_required"
    " seat_reserved chat_muted chat_locked",
    404: "not_found room_not_found call_not_found seat_not_found request_not_found not_in_room"
    " unknown_seat_mode",
    409: "seat_taken seat_locked seat_occupied already_seated no_free_seat already_handled"
    " answered_elsewhere rejected_elsewhere caller_busy call_over stream_not_live version_conflict"
    " idempotency_mismatch room_full",
    410: "room_ended snapshot_required",
    413: "too_large",
    422: "invalid_callee invalid_state",
    429: "rate_limited too_many_requests_pending",
    500: "internal",
    503: "unavailable media_unavailable",
}


def test_the_list_is_complete_and_closed() -> None:
    expected = {code: status for status, codes in BY_STATUS.items() for code in codes.split()}
    assert {code: status_of(code) for code in CODES} == expected


@pytest.mark.parametrize("code", CODES)
def test_every_title_is_a_phrase_of_its_own(code: str) -> None:
    title = title_of(code)
    assert title[0].isupper()
    assert not title.endswith(".")
    assert [other for other in CODES if title_of(other) == title] == [code]


def test_a_problem_says_only_what_it_knows() -> None:
    problem = Problem(
        title=title_of("invalid_request"),
        status=400,
        code="invalid_request",
        detail="No.",
        errors=(FieldError(path="$.index", message="Expected `int`"),),
    )
    assert msgspec.json.decode(msgspec.json.encode(problem)) == {
        "title": "The request is not valid",
        "status": 400,
        "code": "invalid_request",
        "detail": "No.",
        "errors": [{"path": "$.index", "message": "Expected `int`"}],
    }
