import msgspec
import pytest

from utd_cli.demos.play import Outcome

GOOD = Outcome(
    heard_hz=440.4,
    speech_correlation=0.98,
    answer_hz=659.6,
    silence_after_removal=True,
    silence_dbfs=-120,
    publish_refused=20,
    removal_to_silence_ms=20,
    heard_again_hz=440,
    take_to_permission_ms=12,
    take_to_first_audio_ms=400,
)


def test_a_good_outcome_has_no_failure() -> None:
    assert GOOD.failures() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heard_hz", 442.0),
        ("heard_hz", 0.0),
        ("speech_correlation", 0.3),
        ("answer_hz", 440.0),
        ("silence_after_removal", False),
        ("heard_again_hz", 0.0),
    ],
)
def test_each_wrong_number_is_a_failure_of_its_own(field: str, value: object) -> None:
    failures = msgspec.structs.replace(GOOD, **{field: value}).failures()
    assert len(failures) == 1
    if not isinstance(value, bool):
        assert str(value) in failures[0]
