"""After an outage: what is live goes at once and newest first, the rest beside it, oldest first and at its leisure."""

from __future__ import annotations

import zlib
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import MqttConfig
from agent.publish import BATCHES, decode_batch, translate
from agent.publish.batch import MAX_LINES, MAX_PLAIN_BYTES, line, pack, parts, unpack
from agent.publish.contract import Envelope, Perf
from agent.publish.inbox import Pace
from agent.publish.link import Accepted, Acked
from agent.publish.profile import profile_of
from agent.publish.stored import slim
from agent.publish.topics import BY_CLASS
from tests.publish_fakes import Link, board_reading, perf_report, stamp
from tests.spools import P, StoredRig


def outage(rig: StoredRig, windows: int, every_s: float = 10.0) -> None:
    """Windows come in, and nobody listens."""
    rig.offline()
    for _ in range(windows):
        rig.clock.now_s += every_s
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        rig.network.step()


def backlog(link: Link, kind: str = "perf") -> list[Envelope]:
    return [each for sent in link.on(f"mh/{kind}") for each in decode_batch(sent.topic, sent.body)]


def test_live_windows_go_at_once_newest_first_and_the_rest_beside_them() -> None:
    rig = StoredRig(None)
    outage(rig, 90)
    rig.online()
    rig.wait(60.0)
    live = [sent.payload.seq for sent in rig.link.on("m/perf")]
    late = [each.seq for each in backlog(rig.link)]
    assert live == list(range(90, 90 - len(live), -1))
    assert late == list(range(1, 90 - len(live) + 1))
    assert 4 <= len(live) <= 7, "a minute of them"
    topics = [sent.topic for sent in rig.link.sent]
    assert topics.index(f"{P}/mh/perf") > max(i for i, topic in enumerate(topics) if topic == f"{P}/m/perf")


def test_the_backlog_keeps_to_its_rate_and_holds_up_nothing() -> None:
    rig = StoredRig(None, backlog_bytes_s=256.0)
    outage(rig, 2000)
    rig.online()
    begun_s, first = rig.clock(), len(rig.link.sent)
    delays = []
    while rig.network.status.queue_rows and rig.clock() - begun_s < 4000:
        rig.clock.now_s += 10.0
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        at_s, count = rig.clock(), len(rig.link.on("m/perf"))
        rig.run_until(lambda count=count: len(rig.link.on("m/perf")) > count)
        delays.append(rig.clock() - at_s)
    lasted_s = rig.clock() - begun_s
    sent_bytes = sum(len(sent.body) for sent in rig.link.sent[first:] if "/mh/" in sent.topic)
    assert max(delays) <= 1.0
    assert sent_bytes / lasted_s <= 256.0
    assert [each.seq for each in backlog(rig.link)] == sorted(each.seq for each in backlog(rig.link))
    assert not rig.network.status.queue_rows


def test_one_pack_at_a_time_is_unacknowledged() -> None:
    rig = StoredRig(None)
    outage(rig, 300)
    rig.links = [Link(rig.clock, acks=False)]
    rig.run_until(lambda: rig.network.status.connected)
    rig.steps(4)
    rig.link.coming += [Acked(sent.mid) for sent in rig.link.sent if "/mh/" not in sent.topic]
    rig.steps(4)
    assert len(rig.link.on("mh/perf")) == 1


def test_a_cut_in_the_middle_of_the_backlog_leaves_no_gap() -> None:
    rig = StoredRig(None)
    outage(rig, 200)
    rig.links = [Link(rig.clock, acks=False)]
    rig.run_until(lambda: rig.network.status.connected)
    rig.steps(3)
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    rig.run_until(lambda: not rig.network.status.queue_rows)
    seen = {each.seq for link in rig.dialled for each in backlog(link)}
    seen |= {sent.payload.seq for link in rig.dialled for sent in link.on("m/perf")}
    assert seen == set(range(1, 201))


@pytest.mark.parametrize("max_packet_bytes", [1500, 5000, 40_000])
def test_a_pack_that_the_broker_finds_too_large_comes_in_parts(max_packet_bytes: int) -> None:
    rig = StoredRig(None)
    outage(rig, 64)
    rig.links = [Link(rig.clock, greeting=[Accepted(8, max_packet_bytes)])]
    rig.run_until(lambda: rig.network.status.connected)
    rig.run_until(lambda: not rig.network.status.queue_rows)
    seqs = [each.seq for each in backlog(rig.link)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 50
    assert all(len(sent.body) <= max_packet_bytes for sent in rig.link.sent)
    assert rig.network.status.dropped == {}


def test_what_is_sent_late_is_slim_too() -> None:
    rig = StoredRig(None)
    outage(rig, 64)
    rig.online()
    rig.wait(20.0)
    first = backlog(rig.link)[0]
    assert isinstance(first, Perf)
    assert {name for name, stage in first.stages.items() if stage.sketch} == {"age", "total"}


def test_windows_of_one_batch_are_acknowledged_together() -> None:
    rig = StoredRig(None, as_measured=False, profile="normal", resolution_s=0.0)
    rig.links = [Link(rig.clock, acks=False)]
    rig.run_until(lambda: rig.network.status.connected)
    for _ in range(6):
        rig.inbox.put_window(perf_report())
        rig.inbox.put_window(board_reading())
    rig.run_until(lambda: rig.link.on("mb"))
    assert rig.network.status.queue_rows >= 18
    rig.link.coming += [Acked(sent.mid) for sent in rig.link.sent]
    rig.steps(2)
    assert rig.network.status.queue_rows == 0
    (sent,) = rig.link.on("mb")
    assert len(decode_batch(sent.topic, sent.body)) == 18


def test_a_stop_does_not_wait_for_the_next_batch() -> None:
    rig = StoredRig(None, as_measured=False, profile="metered")
    rig.online()
    rig.wait(10.0)
    rig.inbox.put_window(perf_report())
    rig.wait(5.0)
    before = len(rig.link.on("mb"))
    assert rig.stop()
    assert len(rig.link.on("mb")) == before + 1


# ---- reading


def sys_line(seq: int = 1) -> bytes:
    return line("m/sys", msgspec.json.encode(translate.sys(stamp(seq), board_reading())))


@given(st.lists(st.sampled_from(["m/perf", "m/sys", "m/therm"]), min_size=1, max_size=12))
def test_a_batch_reads_as_its_windows_one_by_one(classes: list[str]) -> None:
    make = {
        "m/perf": lambda seq: translate.perf(stamp(seq), perf_report()),
        "m/sys": lambda seq: translate.sys(stamp(seq), board_reading()),
        "m/therm": lambda seq: translate.therm(stamp(seq), board_reading()),
    }
    bodies = [slim(cls, msgspec.json.encode(make[cls](seq + 1))) for seq, cls in enumerate(classes)]
    batch = pack([line(cls, body) for cls, body in zip(classes, bodies, strict=True)])
    alone = [msgspec.json.decode(body, type=BY_CLASS[cls].payload) for cls, body in zip(classes, bodies, strict=True)]
    assert decode_batch(f"{P}/mb", batch) == alone


@given(
    st.lists(st.binary(max_size=40).filter(lambda each: b"\n" not in each), min_size=1, max_size=60),
    st.integers(30, 400),
)
def test_parts_are_the_whole_in_order_and_fit(lines: list[bytes], most: int) -> None:
    found = parts(lines, lambda body: len(body) <= most)
    assert [each for _, body in found for each in unpack(body)] == lines
    assert [count for count, _ in found] == [len(unpack(body)) for _, body in found]
    assert all(len(body) <= most or count == 1 for count, body in found)


def test_a_zip_bomb_is_refused_before_it_is_large() -> None:
    bomb = zlib.compress(b"\n" * (400 * MAX_PLAIN_BYTES), 9)
    assert len(bomb) < 500_000
    with pytest.raises(msgspec.ValidationError, match="more than 1048576 bytes"):
        decode_batch(f"{P}/mb", bomb)
    with pytest.raises(msgspec.ValidationError, match="more than 1024 lines"):
        decode_batch(f"{P}/mb", pack([sys_line()] * (MAX_LINES + 1)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        pack([sys_line()])[:-5],
        pack([b"{}"]),
        pack([b""]),
        pack([b'{"kind":"perf"}']),
        pack([b'{"kind":"nothing"}']),
        pack([b'{"kind":"' + b"x" * 1000 + b'"}']),
        pack([b"[" * 100_000]),
        pack([b'{"kind":"\xff"}']),
        pack([sys_line(), b"garbage"]),
    ],
)
def test_what_is_no_batch_is_refused_by_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_batch(f"{P}/mb", body)


def test_a_backlog_carries_its_own_kind_only() -> None:
    assert len(decode_batch(f"{P}/mh/sys", pack([sys_line()]))) == 1
    with pytest.raises(msgspec.ValidationError, match="no place here"):
        decode_batch(f"{P}/mh/perf", pack([sys_line()]))


@pytest.mark.parametrize("below", ["m/perf", "mh", "mh/perf/x", "state", "mbx"])
def test_other_topics_are_none_of_batches(below: str) -> None:
    with pytest.raises(LookupError):
        decode_batch(f"{P}/{below}", pack([sys_line()]))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    for candidate in (body, zlib.compress(body)):
        try:
            decode_batch(f"{P}/mb", candidate)
        except msgspec.DecodeError:
            continue


def test_topics_of_batches_have_no_more_than_seven_slashes() -> None:
    assert all(f"{P}/{each.pattern}".count("/") <= 7 for each in BATCHES)


# ---- another profile while it runs


def test_another_profile_holds_at_once_and_loses_nothing() -> None:
    rig = StoredRig(None, as_measured=False, profile="metered")
    rig.steps(4)
    due_s = rig.clock()

    def feed(seconds: float) -> None:
        nonlocal due_s
        until_s = rig.clock() + seconds
        while rig.clock() < until_s:
            if rig.clock() >= due_s:
                due_s += 10.0
                rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
            rig.network.step()

    feed(400.0)
    assert not rig.link.on("m/perf")
    assert rig.network.status.queue_rows, "some wait for their batch"
    live = profile_of(MqttConfig(profile="live", resolution_s=0.0))
    rig.inbox.put_notice(Pace(live, 60.0))
    rig.steps(4)
    waited = len(rig.link.on("m/perf"))
    assert waited
    assert rig.link.on("mh/perf"), "for a live profile, minutes are old"
    assert not rig.network.status.queue_rows, "what waited goes at once"
    feed(100.0)
    assert 9 <= len(rig.link.on("m/perf")) - waited <= 11, "each as it was measured"
    rig.inbox.put_notice(Pace(profile_of(MqttConfig()), 60.0))
    rig.steps(4)
    alone = len(rig.link.on("m/perf"))
    feed(300.0)
    assert len(rig.link.on("m/perf")) == alone
    told = [sent.payload for sent in rig.link.on("m/perf")]
    for sent in (*rig.link.on("mb"), *rig.link.on("mh/perf")):
        told += decode_batch(sent.topic, sent.body)
    seqs = sorted((one.seq_first or one.seq, one.seq) for one in told)
    assert seqs[0][0] == 1
    assert all(first == last + 1 for (_, last), (first, _) in pairwise(seqs))


def test_a_batch_does_not_wait_for_the_former_profiles_time() -> None:
    rig = StoredRig(None, as_measured=False, profile="metered")
    rig.steps(4)
    rig.wait(700.0 - rig.clock() % 300.0)  # just after a batch would have gone
    for _ in range(2):
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        rig.wait(70.0)
    before = len(rig.link.on("mb"))
    assert rig.network.status.queue_rows
    rig.inbox.put_notice(Pace(profile_of(MqttConfig()), 600.0))
    rig.steps(4)
    assert len(rig.link.on("mb")) == before + 1
    assert not rig.network.status.queue_rows
