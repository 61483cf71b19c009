from msgspec import structs
from support.room_logs import ROOM_ID, fresh_view, left, taken, window

from utd_protocol.apply import apply_all
from utd_protocol.events import UnknownEvent
from utd_stream._engine.sync import RoomSync

LOG = [taken(0, "ana", 2), taken(1, "bo", 3), left(0, "ana", 4), taken(2, "ana", 5)]


def started() -> RoomSync:
    return RoomSync(fresh_view(), 1)


def test_a_window_is_folded_in_order() -> None:
    sync = started()

    assert sync.hear(window(LOG, head=5)) == tuple(LOG)

    assert sync.view == apply_all(fresh_view(), LOG)
    assert (sync.seq, sync.head, sync.behind) == (5, 5, False)


def test_what_is_known_already_changes_nothing() -> None:
    sync = started()
    sync.hear(window(LOG, head=5))
    before = sync.view

    assert sync.hear(window(LOG[:2], head=3)) == ()
    assert sync.fold(LOG) == ()

    assert sync.view is before
    assert sync.head == 5


def test_a_gap_is_noticed_and_nothing_behind_it_is_folded() -> None:
    sync = started()

    assert sync.hear(window(LOG[2:], head=5)) == ()

    assert sync.behind
    assert sync.seq == 1
    assert sync.view == fresh_view()


def test_closing_a_gap_folds_what_waited_behind_it() -> None:
    sync = started()
    sync.hear(window(LOG[2:], head=5))

    assert sync.fold(LOG[:2], head=5) == tuple(LOG)

    assert not sync.behind


def test_events_may_come_in_any_order() -> None:
    sync = started()

    assert sync.fold([LOG[3], LOG[1], LOG[0], LOG[2]]) == tuple(LOG)


def test_a_head_without_events_is_a_gap() -> None:
    sync = started()

    assert sync.hear(window([], head=3)) == ()

    assert sync.behind


def test_another_opening_of_the_room_is_ignored() -> None:
    sync = started()

    assert sync.hear(window(LOG, head=5, room_id="room_2")) == ()

    assert (sync.seq, sync.head) == (1, 1)


def test_metadata_that_the_engine_did_not_write_is_ignored() -> None:
    sync = started()

    for nonsense in ("", "null", "{}", "hello", '{"v":1}', '{"v":2,"room_id":"room_1","head":9}'):
        assert sync.hear(nonsense) == ()

    assert not sync.behind


def test_an_unknown_event_only_moves_the_cursor() -> None:
    sync = started()
    unknown = UnknownEvent(seq=2, type="seat.painted")

    assert sync.fold([unknown]) == (unknown,)

    assert sync.seq == 2
    assert sync.view == fresh_view()


def test_a_snapshot_skips_what_it_contains_and_folds_what_waited() -> None:
    sync = started()
    sync.fold([LOG[3]])
    snapshot = apply_all(fresh_view(), LOG[:3])

    assert sync.load(snapshot, 4) == (LOG[3],)

    assert sync.view == apply_all(fresh_view(), LOG)
    assert sync.seq == 5


def test_an_old_snapshot_changes_nothing() -> None:
    sync = started()
    sync.fold(LOG)

    assert sync.load(fresh_view(), 1) == ()

    assert sync.seq == 5


def test_a_snapshot_of_another_opening_changes_nothing() -> None:
    sync = started()

    assert sync.load(structs.replace(fresh_view(), room_id="room_2"), 9) == ()

    assert sync.view.room_id == ROOM_ID
    assert sync.seq == 1


def test_a_flood_ahead_of_a_gap_does_not_stop_the_reading_of_the_log() -> None:
    sync = started()
    log = [taken(0, "ana", seq) for seq in range(2, 3000)]
    sync.fold(log[500:])
    assert sync.seq == 1

    for start in range(0, len(log), 500):
        sync.fold(log[start : start + 500], head=2999)

    assert sync.seq == 2999
    assert not sync.behind
