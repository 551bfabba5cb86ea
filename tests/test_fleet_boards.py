"""The picture of the fleet: what a message changes, what it cannot, and what a broker may do twice."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.publish.batch import line, pack
from tools.fleet.boards import Fleet

P = "edge/v1/home/cam1"
STAGE = {"n": 10, "max_s": 0.02, "mean_s": 0.011, "p50_s": 0.01, "p90_s": 0.015, "p99_s": 0.019}


def body(**fields: Any) -> bytes:
    envelope = {"v": 1, "id": "cam1", "boot": "b1", "conn": 1, "seq": 1, "ts": 1000.0, "clk": "ok"}
    return json.dumps({**envelope, **fields}).encode()


def perf(**fields: Any) -> bytes:
    window = {"window_s": 10.0, "frames": 300, "fps": 30.0, "dropped": 2, "detections": 600}
    return body(**{**window, "stages": {"total": STAGE, "age": STAGE}, **fields})


def only(fleet: Fleet, now_s: float = 5.0) -> dict[str, Any]:
    (board,) = fleet.view(now_s)
    return board


def test_a_window_becomes_figures_and_a_point() -> None:
    fleet = Fleet()
    assert fleet.take(f"{P}/m/perf", perf(), 3.0)
    board = only(fleet)
    assert (board["site"], board["id"], board["seen_s"]) == ("home", "cam1", 2.0)
    assert (board["fps"], board["objects"], board["p50_s"], board["p99_s"]) == (30.0, 2.0, 0.01, 0.019)
    assert fleet.history("home", "cam1") == [{"ts": 1000.0, "fps": 30.0, "objects": 2.0, "p50_s": 0.01, "p99_s": 0.019}]


def test_a_window_without_frames_has_no_mean() -> None:
    fleet = Fleet()
    fleet.take(f"{P}/m/perf", perf(frames=0, detections=0, fps=0.0, stages={}), 0.0)
    assert only(fleet)["objects"] is None
    assert only(fleet)["p99_s"] is None


def test_a_window_that_comes_twice_counts_once() -> None:
    fleet = Fleet()
    for seq in (1, 1, 2, 1):
        fleet.take(f"{P}/m/perf", perf(seq=seq), 0.0)
    assert len(fleet.history("home", "cam1")) == 2
    fleet.take(f"{P}/m/perf", perf(seq=1, boot="b2"), 0.0)
    assert len(fleet.history("home", "cam1")) == 3, "another boot counts anew"


def test_an_alarm_stands_until_its_empty_payload() -> None:
    fleet = Fleet()
    fleet.take(f"{P}/a/camera", body(alarm="camera", message="camera stalled"), 0.0)
    assert [alarm["message"] for alarm in only(fleet)["alarms"]] == ["camera stalled"]
    fleet.take(f"{P}/a/camera", b"", 0.0)
    assert only(fleet)["alarms"] == []


def test_a_last_will_of_an_older_connection_is_dropped() -> None:
    fleet = Fleet()
    card = {"model": "unknown", "machine": "x86_64", "cores": 2, "os": "Debian", "kernel": "6", "python": "3.11"}
    birth = body(conn=5, agent="0.1", config_sha256="ab", board=card, metrics={}, commands={})
    assert fleet.take(f"{P}/birth", birth, 0.0)
    fleet.take(f"{P}/state", body(conn=5, state="online"), 0.0)
    fleet.take(f"{P}/state", body(conn=4, state="lost"), 0.0)
    assert only(fleet)["state"] == "online"
    assert only(fleet)["board"] is None, "nobody needs to read that a board is unknown"
    fleet.take(f"{P}/state", body(conn=5, state="lost"), 0.0)
    assert only(fleet)["state"] == "lost"


def test_who_speaks_in_the_name_of_another_is_refused() -> None:
    fleet = Fleet()
    assert not fleet.take(f"{P}/m/perf", perf(id="cam2"), 0.0)
    assert fleet.refused_total == 1
    assert fleet.history("home", "cam1") == []


def test_a_board_that_goes_mad_cannot_fill_the_memory() -> None:
    fleet = Fleet()
    for number in range(100):
        fleet.take(f"{P}/a/a{number}", body(alarm=f"a{number}", message="first"), 0.0)
    fleet.take(f"{P}/a/a3", body(alarm="a3", message="second"), 0.0)
    alarms = {alarm["id"]: alarm["message"] for alarm in only(fleet)["alarms"]}
    assert len(alarms) == 64
    assert alarms["a3"] == "second", "one that stands can still change"


def test_a_broker_that_goes_mad_cannot_either() -> None:
    fleet = Fleet()
    for number in range(20_001):
        fleet.take(f"edge/v1/home/c{number}/state", body(id=f"c{number}", state="online"), 0.0)
    assert len(fleet.boards) == 20_000
    assert fleet.refused_total == 1


def test_an_unknown_board_has_no_history() -> None:
    assert Fleet().history("home", "nobody") == []


@given(
    topic=st.one_of(
        st.text(max_size=30),
        st.sampled_from([f"{P}/state", f"{P}/birth", f"{P}/m/perf", f"{P}/a/camera", f"{P}/health", "edge/v1/x"]),
    ),
    payload=st.one_of(st.binary(max_size=60), st.just(b"{}"), st.just(b"[]"), st.just(perf()), st.just(b"")),
)
def test_nothing_that_comes_in_breaks_it(topic: str, payload: bytes) -> None:
    fleet = Fleet()
    taken = fleet.take(topic, payload, 0.0)
    assert fleet.refused_total == (not taken)
    json.dumps(fleet.view(1.0))


def batch(*windows: bytes) -> bytes:
    return pack([line("m/perf", window) for window in windows])


def test_a_batch_counts_as_its_windows() -> None:
    fleet = Fleet()
    assert fleet.take(f"{P}/mb", batch(perf(seq=1, ts=10.0), perf(seq=2, ts=20.0, fps=7.0)), 0.0)
    assert only(fleet)["fps"] == 7.0
    assert len(fleet.history("home", "cam1")) == 2


def test_a_backlog_is_history_and_not_the_present() -> None:
    fleet = Fleet()
    fleet.take(f"{P}/m/perf", perf(seq=9, ts=90.0, fps=9.0), 0.0)
    fleet.take(f"{P}/m/perf", perf(seq=8, ts=80.0, fps=8.0), 0.0)
    fleet.take(f"{P}/mh/perf", batch(perf(seq=1, ts=10.0, fps=1.0), perf(seq=9, ts=90.0)), 0.0)
    assert only(fleet)["fps"] == 9.0
    assert [point["ts"] for point in fleet.history("home", "cam1")] == [10.0, 80.0, 90.0]


def test_a_batch_with_one_foreign_window_is_refused_whole() -> None:
    fleet = Fleet()
    assert not fleet.take(f"{P}/mb", batch(perf(seq=1), perf(seq=2, id="cam2")), 0.0)
    assert fleet.history("home", "cam1") == []
    assert fleet.refused_total == 1


def test_older_readings_do_not_replace_newer_ones() -> None:
    fleet = Fleet()
    for seq, rss in ((2, 200), (1, 100)):
        fleet.take(f"{P}/m/sys", body(seq=seq, rss_bytes=rss), 0.0)
    assert only(fleet)["rss_bytes"] == 200


def test_a_backlog_of_a_former_start_is_not_the_present() -> None:
    fleet = Fleet()
    fleet.take(f"{P}/m/sys", body(boot="b2", rss_bytes=200), 0.0)
    late = pack([line("m/sys", body(boot="b1", seq=7, rss_bytes=100))])
    assert fleet.take(f"{P}/mh/sys", late, 0.0)
    assert only(fleet)["rss_bytes"] == 200


def test_a_picture_for_home_assistant_is_no_news_of_a_board() -> None:
    fleet = Fleet()
    assert fleet.take("edge/v1/home/cam1/image", b"\xff\xd8\xff", 1.0)
    assert (fleet.boards, fleet.refused_total) == ({}, 0)
