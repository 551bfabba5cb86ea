"""The mqtt thread's judgement on a clock that stands still: what is said, in which order, and what a cut costs."""

from __future__ import annotations

import gc
import logging
import random
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.publish import contract
from agent.publish.home_assistant import Announcer, HomePlan
from agent.publish.inbox import AlarmChange, Happening, StateChange
from agent.publish.link import Accepted, Acked, Closed, Received, Refused, Subscribed
from agent.publish.topics import Names, decode
from agent.publish.wake import Wake
from agent.records import Standing
from tests.publish_fakes import WALL_S, Link, Rig, board_reading, health, identity, perf_report, sighting

P = "edge/v1/home/cam1"


def raised(alarm_id: str, message: str | None = "hot") -> AlarmChange:
    return AlarmChange(alarm_id, message, 90.0)


def event(number: int) -> Happening:
    return Happening("tick", {"n": number}, 90.0)


def connected(rig: Rig) -> Rig:
    rig.steps(6)
    assert rig.network.status.connected
    return rig


def numbers(link: Link, below: str = "e/tick") -> list[int]:
    return [sent.payload.data["n"] for sent in link.on(below)]  # type: ignore[attr-defined]


# ---- what is said on a connection


def test_first_watch_ourselves_then_birth_state_health_alarms_then_what_waited() -> None:
    rig = Rig()
    rig.inbox.put_window(perf_report())
    rig.inbox.put_notice(raised("thermal"))
    rig.inbox.put_window(health())
    rig.inbox.put_notice(identity())
    connected(rig)
    assert rig.link.topics == [f"{P}/state", f"{P}/a/+", f"{P}/cmd/+/+", f"{P}/desired", "edge/v1/home/$all/cmd/+/+"]
    said = [sent.topic.removeprefix(f"{P}/") for sent in rig.link.sent]
    assert said == ["birth", "state", "health", "a/thermal", "a/thermal", "m/perf"]
    assert rig.session.is_idle()


def test_topics_get_the_qos_and_retain_of_the_contract() -> None:
    rig = Rig()
    for notice in (identity(), raised("thermal"), event(1)):
        rig.inbox.put_notice(notice)
    for window in (perf_report(), board_reading(), health()):
        rig.inbox.put_window(window)
    connected(rig)
    told = {sent.topic.removeprefix(f"{P}/"): (sent.qos, sent.retain) for sent in rig.link.sent}
    assert told == {
        "state": (1, True),
        "birth": (1, True),
        "health": (0, True),
        "a/thermal": (1, True),
        "e/tick": (1, False),
        "m/perf": (1, False),
        "m/sys": (1, False),
        "m/therm": (1, False),
    }


def test_machine_without_heat_sensors_sends_no_heat() -> None:
    rig = Rig()
    rig.inbox.put_window(board_reading(soc_celsius=None))
    connected(rig)
    assert len(rig.link.on("m/sys")) == 1
    assert rig.link.on("m/therm") == []


def test_after_an_outage_only_the_newest_detections_are_told_with_their_own_time() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, fault=ConnectionRefusedError())]
    for people in (1, 2, 3):
        rig.inbox.put_notice(sighting(at_s=rig.clock(), people=people))
    seen_s = rig.clock()
    rig.run_until(lambda: rig.network.status.connected)
    rig.steps(3)
    assert rig.clock() > seen_s
    told = rig.link.on("d")
    assert [(sent.qos, sent.retain) for sent in told] == [(0, False)]
    payload = told[0].payload
    assert isinstance(payload, contract.Detections)
    assert (payload.counts, payload.seq) == ({"dog": 0, "person": 3}, 1)
    assert payload.ts == pytest.approx(WALL_S + seen_s, rel=0, abs=0.01)


def test_will_birth_and_state_carry_the_same_connection() -> None:
    rig = Rig()
    rig.inbox.put_notice(identity())
    connected(rig)
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    rig.steps(4)
    for conn, link in enumerate(rig.dialled, start=1):
        assert link.will is not None
        will = decode(link.will.topic, link.will.body)
        assert isinstance(will, contract.State)
        assert (will.state, will.conn, will.boot) == ("lost", conn, "b007")
        assert {sent.payload.conn for below in ("birth", "state") for sent in link.on(below)} == {conn}


def test_state_is_said_when_it_changes_only() -> None:
    rig = connected(Rig())
    for name in ("online", "degraded", "degraded", "online"):
        rig.inbox.put_notice(StateChange(name))
        rig.steps(2)
    assert [sent.payload.state for sent in rig.link.on("state")] == ["online", "degraded", "online"]  # type: ignore[attr-defined]


def test_active_alarms_are_said_again_on_every_connection_as_the_same_message() -> None:
    rig = connected(Rig())
    for change in (raised("thermal"), raised("disk"), raised("disk", None)):
        rig.inbox.put_notice(change)
    rig.steps()
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    rig.steps(4)
    assert [sent.topic for sent in rig.link.sent if "/a/" in sent.topic] == [f"{P}/a/thermal"]
    assert rig.link.on("a/thermal")[0].body == rig.dialled[0].on("a/thermal")[0].body


def test_an_alarm_raised_and_cleared_while_offline_ends_cleared() -> None:
    rig = Rig()
    for change in (raised("thermal"), raised("thermal", None)):
        rig.inbox.put_notice(change)
    connected(rig)
    assert [bool(sent.body) for sent in rig.link.on("a/thermal")] == [True, False]


def test_clearing_what_is_not_active_says_nothing() -> None:
    rig = connected(Rig())
    rig.inbox.put_notice(raised("thermal", None))
    rig.steps()
    assert rig.link.on("a/thermal") == []


def test_alarm_of_a_former_life_is_taken_back() -> None:
    rig = connected(Rig())
    rig.inbox.put_notice(raised("thermal"))
    rig.steps()
    before = len(rig.link.sent)
    rig.link.coming += [
        Received(f"{P}/a/disk", b"{}", retained=True),
        Received(f"{P}/a/thermal", b"{}", retained=True),
        Received(f"{P}/a/camera", b"", retained=True),
        Received(f"{P}/a/latency", b"{}"),
        Received("edge/v1/home/cam2/a/disk", b"{}", retained=True),
        Received("nonsense", b"{}", retained=True),
    ]
    rig.steps()
    assert [(sent.topic, sent.body) for sent in rig.link.sent[before:]] == [(f"{P}/a/disk", b"")]


# ---- window, acknowledgements, cuts


def test_no_more_than_the_window_is_unacknowledged() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    for number in range(30):
        rig.inbox.put_notice(event(number))
    rig.steps(6)
    assert len(rig.link.sent) == 8
    rig.link.coming += [Acked(1), Acked(2)]
    rig.steps(2)
    assert len(rig.link.sent) == 10


def test_a_broker_with_a_smaller_window_gets_it() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False, greeting=[Accepted(window=2, max_packet_bytes=10_000)])]
    for number in range(5):
        rig.inbox.put_notice(event(number))
    rig.steps(6)
    assert len(rig.link.sent) == 2


def test_what_a_cut_leaves_unacknowledged_comes_again_in_order() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    for number in range(12):
        rig.inbox.put_notice(event(number))
    rig.steps(6)
    rig.link.coming += [Acked(mid) for mid in (1, 2, 4)]  # state and two events
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2 and rig.session.is_idle())
    assert numbers(rig.link) == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_missing_acknowledgement_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(ack_deadline_s=15.0)
    rig.links = [Link(rig.clock, acks=False)]
    rig.inbox.put_notice(event(1))
    rig.steps(6)
    started_s = rig.clock()
    rig.run_until(lambda: rig.dialled[0].end == "aborted")
    assert 9.0 <= rig.clock() - started_s <= 17.0
    assert "it acknowledges nothing any more" in caplog.text
    rig.run_until(lambda: rig.session.is_idle() and rig.network.status.connected)
    assert numbers(rig.link) == [1]


def test_acknowledgements_of_a_former_connection_mean_nothing() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False), Link(rig.clock, acks=False)]
    rig.inbox.put_notice(event(1))
    rig.steps(6)
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    rig.steps(2)
    rig.link.coming += [Acked(17), Acked(99)]
    rig.steps(2)
    assert rig.network.status.queue_rows == 1
    assert rig.network.status.acked == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_under_any_cuts_and_silences_every_event_arrives_at_least_once(seed: int, count: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # a seeded choice
    rig = Rig(max_s=1.0)
    for number in range(count):
        rig.inbox.put_notice(event(number))
        for _ in range(rng.randrange(3)):
            rig.network.step()
        link = rig.dialled[-1] if rig.dialled else None
        if link is None or link.end:
            continue
        link.acks = rng.random() < 0.7
        if rng.random() < 0.2:
            del link.coming[rng.randrange(len(link.coming) + 1) :]
            link.cut()
            link.acks = False
    for link in rig.dialled:
        link.acks = True
    rig.run_until(lambda: rig.session.is_idle() and rig.network.status.connected and not len(rig.inbox))
    seen = {n for link in rig.dialled for n in numbers(link)}
    assert seen == set(range(count))
    assert rig.network.status.dropped == {}
    seqs = {sent.payload.seq for link in rig.dialled for sent in link.on("e/tick")}
    assert seqs == set(range(1, count + 1)), "no gap"


def test_the_same_event_sent_twice_is_the_same_bytes() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    rig.inbox.put_notice(event(1))
    rig.inbox.put_window(perf_report())
    rig.steps(6)
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2 and rig.session.is_idle())
    first, second = rig.dialled
    for below in ("e/tick", "m/perf"):
        assert first.on(below)[0].body == second.on(below)[0].body


def test_memory_is_bounded_while_nobody_listens_and_losses_are_told() -> None:
    rig = Rig(limit_bytes=20_000)
    rig.links = [Link(rig.clock, fault=ConnectionRefusedError()) for _ in range(2000)]
    for number in range(400):
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.inbox.put_window(board_reading(rig.clock()))
        rig.inbox.put_notice(event(number))
        rig.network.step()
        assert rig.network.status.queue_bytes <= 20_000
    status = rig.network.status
    assert status.merged > 0
    rig.links.clear()
    rig.inbox.put_window(health())
    rig.run_until(lambda: rig.session.is_idle() and rig.network.status.connected)
    card = rig.link.on("health")[0].payload
    assert isinstance(card, contract.HealthCard)
    for cls, below in (("m/perf", "m/perf"), ("m/sys", "m/sys"), ("e", "e/tick")):
        told = [(sent.payload.seq_first or sent.payload.seq, sent.payload.seq) for sent in rig.link.on(below)]
        assert sum(last - first + 1 for first, last in told) + card.dropped.get(cls, 0) == 400


# ---- refusals


def test_a_refused_publish_leaves_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    for number in range(3):
        rig.inbox.put_notice(event(number))
    rig.steps(6)
    rig.link.coming += [Acked(1), Acked(2, "Not authorized"), Acked(3, "Not authorized")]
    rig.steps(3)
    status = rig.network.status
    assert (status.refused, status.acked, status.queue_rows) == ({"e": 2}, 1, 1)
    assert (
        status.reason == f"the broker does not let us publish to {P}/e/{{id}} (Not authorized): check its access rules"
    )
    assert [r.levelname for r in caplog.records if "access rules" in r.message] == ["ERROR"]
    with caplog.at_level(logging.INFO):
        rig.link.coming.append(Acked(4))
        rig.steps(3)
    assert rig.network.status.reason == ""
    assert f"the broker takes {P}/e/{{id}} again" in caplog.text


def test_a_refused_subscription_is_said_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    rig = connected(Rig())
    rig.link.coming.append(Subscribed("Not authorized"))
    rig.steps()
    assert "read our own topics (Not authorized)" in caplog.text
    assert rig.network.status.connected


def test_a_message_that_the_broker_finds_too_large_is_dropped_and_counted() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[Accepted(window=8, max_packet_bytes=400)])]
    rig.inbox.put_window(perf_report())
    rig.inbox.put_notice(event(1))
    connected(rig)
    assert rig.network.status.dropped == {"m/perf": 1}
    assert numbers(rig.link) == [1]
    assert rig.session.is_idle()


def test_a_message_over_128_kib_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.inbox.put_notice(Happening("big", {f"k{i}": "x" * 500 for i in range(300)}, 1.0))
    connected(rig)
    assert rig.network.status.dropped == {"e": 1}
    assert "153024 bytes" in caplog.text


# ---- presence


def lost(conn: int, boot: str = "b007", state: str = "lost") -> bytes:
    stamp = f'"v":1,"id":"cam1","boot":"{boot}","conn":{conn},"seq":1,"ts":1.0,"clk":"ok"'
    return f'{{{stamp},"state":"{state}"}}'.encode()


def states(link: Link) -> list[str]:
    return [sent.payload.state for sent in link.on("state")]  # type: ignore[attr-defined]


def test_a_lost_that_the_broker_shows_is_repaired() -> None:
    rig = connected(Rig())
    rig.link.coming.append(Received(f"{P}/state", lost(1)))
    rig.steps(4)
    assert states(rig.link) == ["online", "online"]


def test_who_is_taken_off_the_broker_says_everything_again() -> None:
    plan = HomePlan("homeassistant", 60.0)
    rng = random.Random(1)  # noqa: S311  # jitter
    rig = connected(Rig(home=lambda clock: Announcer(Names("home", "cam1"), plan, clock, rng)))
    rig.inbox.put_notice(identity())
    rig.inbox.put_window(health())
    rig.inbox.put_notice(Standing(0, 0, "idle"))
    rig.inbox.put_notice(raised("thermal"))
    rig.steps(4)
    before = len(rig.link.sent)
    rig.link.coming.append(Received(f"{P}/state", b""))
    rig.steps(2)
    assert len(rig.link.sent) == before, "whoever empties our topics may not be through"
    rig.clock.now_s += 2.0
    rig.steps(6)
    again = {sent.topic for sent in rig.link.sent[before:]}
    assert again >= {f"{P}/{below}" for below in ("state", "birth", "health", "reported", "a/thermal")}
    assert "homeassistant/device/edge-home-cam1/config" in again
    count = len(rig.link.sent)
    rig.clock.now_s += 10.0
    rig.link.coming.append(Received(f"{P}/state", lost(1)))
    rig.steps(6)
    assert [sent.topic for sent in rig.link.sent[count:]] == [f"{P}/state"], "once is enough"


def test_repairs_are_paced() -> None:
    rig = connected(Rig())
    for _ in range(20):
        rig.link.coming.append(Received(f"{P}/state", lost(1)))
        rig.clock.now_s += 0.5
        rig.network.step()
    assert 2 <= len(states(rig.link)) - 1 <= 4


def test_our_own_echo_and_our_former_life_need_no_repair() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    rig.steps(3)
    rig.link.coming.append(Received(f"{P}/state", lost(0, "old"), retained=True))
    rig.steps(2)
    rig.link.coming += [Acked(1), Received(f"{P}/state", rig.link.on("state")[0].body)]
    rig.steps(4)
    assert states(rig.link) == ["online"]
    assert rig.network.status.rivals == 0


def test_an_old_echo_while_a_change_is_under_way_needs_no_repair() -> None:
    rig = connected(Rig())
    rig.link.acks = False
    rig.inbox.put_notice(StateChange("degraded"))
    rig.steps(2)
    rig.link.coming.append(Received(f"{P}/state", rig.link.on("state")[0].body))
    rig.steps(4)
    assert states(rig.link) == ["online", "degraded"]


@pytest.mark.parametrize("sign", ["taken over", "foreign state"])
def test_a_second_board_with_our_name_is_noticed_and_said_once(sign: str, caplog: pytest.LogCaptureFixture) -> None:
    rig = connected(Rig())
    for conn in (5, 6):
        link = rig.link
        if sign == "taken over":
            link.coming.append(Closed("Session taken over", taken_over=True))
        else:
            link.coming.append(Received(f"{P}/state", lost(conn, "other", "online")))
            link.cut()
        rig.run_until(lambda link=link: rig.link is not link and rig.network.status.connected)  # type: ignore[misc]
    assert rig.network.status.rivals >= 2
    said = [r.message for r in caplog.records if "another client connects as edge.home.cam1" in r.message]
    assert len(said) == 1


def test_a_rival_is_told_to_the_fleet_with_both_starts_and_not_each_time() -> None:
    rig = connected(Rig())
    rig.link.coming.append(Closed("Session taken over", taken_over=True))
    rig.run_until(lambda: len(rig.dialled) == 2 and rig.network.status.connected)
    for conn in (5, 6, 7):
        rig.link.coming.append(Received(f"{P}/state", lost(conn, "other", "online")))
        rig.steps(4)
    told = [sent.payload.data for link in rig.dialled for sent in link.on("e/rival")]  # type: ignore[attr-defined]
    assert told == [{"boot": "b007"}, {"boot": "b007", "other": "other"}]
    rig.clock.now_s += 3600.0
    rig.link.coming.append(Received(f"{P}/state", lost(8, "third", "online")))
    rig.steps(4)
    assert rig.link.on("e/rival")[-1].payload.data["other"] == "third"  # type: ignore[attr-defined]


# ---- dialling


def test_absent_broker_is_dialled_again_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(max_s=60.0)
    rig.links = [Link(rig.clock, fault=ConnectionRefusedError()) for _ in range(12)]
    started_s = rig.clock()
    with caplog.at_level(logging.INFO):
        rig.run_until(lambda: rig.network.status.connected)
    assert len(rig.dialled) == 13
    assert rig.clock() - started_s < 12 * 60
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"], "absence said once, recovery said once"
    assert rig.conn.next == 2, "attempts spend no connection number"
    assert rig.clock() - started_s > 12 * 3, "the pauses grow"


def test_each_absence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(max_s=5.0)
    for _ in range(2):
        rig.links = [Link(rig.clock, fault=ConnectionRefusedError()) for _ in range(3)]
        rig.run_until(lambda: rig.network.status.connected)
        rig.link.cut()
        rig.steps(2)
    said = [record.message.split(" ")[0] for record in caplog.records]
    assert said == ["nothing", "lost", "nothing", "lost"]


def test_a_lost_connection_is_not_dialled_at_once() -> None:
    rig = connected(Rig())
    pauses = []
    for _ in range(6):
        count, lost_s = len(rig.dialled), rig.clock()
        rig.link.cut()
        rig.run_until(lambda count=count: len(rig.dialled) > count)  # type: ignore[misc]
        pauses.append(rig.clock() - lost_s)
        rig.steps(3)
    assert sum(pauses) > 30.0


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (ConnectionRefusedError(), "nothing listens on mqtt://broker:1883"),
        (TimeoutError(), "no answer from mqtt://broker:1883"),
        (ssl.SSLError(1, "odd"), "does not complete TLS"),
        (UnicodeError("label empty"), "cannot resolve the broker's name 'broker'"),
    ],
)
def test_status_says_why_there_is_no_connection(fault: Exception, says: str) -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, fault=fault) for _ in range(20)]
    rig.steps(3)
    assert says in rig.network.status.reason
    assert not rig.network.status.connected


def test_refused_log_in_is_tried_again_and_named() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[Refused(0x87, "Not authorized"), Closed("")])]
    rig.steps(2)
    assert "refuses a connection without user name (Not authorized)" in rig.network.status.reason
    rig.run_until(lambda: rig.network.status.connected)
    assert rig.dialled[0].version == rig.dialled[1].version == 5


def test_broker_without_mqtt_5_gets_3_1_1_at_once_and_for_good() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[Refused(0x84, "Unsupported protocol version"), Closed("")])]
    started_s = rig.clock()
    rig.steps(4)
    assert rig.network.status.connected
    assert rig.clock() - started_s <= 3.0
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    assert [link.version for link in rig.dialled] == [5, 4, 4]
    assert rig.network.status.version == "3.1.1"


@pytest.mark.parametrize("greeting", [[Closed("")], []], ids=["hangs up", "says nothing"])
def test_broker_that_does_not_answer_mqtt_5_is_tried_with_3_1_1(greeting: list[Closed]) -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=list(greeting))]
    rig.run_until(lambda: rig.network.status.connected)
    assert [link.version for link in rig.dialled] == [5, 4]
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    assert rig.dialled[2].version == 5, "it may have been a broker that was just going down"


def test_silent_broker_is_left_after_the_deadline() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[])]
    started_s = rig.clock()
    rig.run_until(lambda: rig.dialled and rig.dialled[0].end == "aborted")
    assert 10.0 <= rig.clock() - started_s <= 12.0
    assert "says nothing for 10 s" in rig.network.status.reason


# ---- the end


def test_stop_hands_over_says_offline_and_goodbye() -> None:
    rig = connected(Rig())
    for number in range(30):
        rig.inbox.put_notice(event(number))
    assert rig.network.finish(rig.clock() + 5.0)
    assert numbers(rig.link) == list(range(30))
    assert states(rig.link) == ["online", "offline"]
    assert rig.link.sent[-1].topic == f"{P}/state"
    assert rig.link.end == "closed"


def test_stop_with_a_silent_broker_ends_at_the_deadline_and_leaves_the_last_word_to_the_will() -> None:
    rig = connected(Rig())
    rig.link.acks = False
    rig.inbox.put_notice(event(1))
    started_s = rig.clock()
    assert not rig.network.finish(started_s + 4.0)
    assert rig.clock() - started_s <= 4.1
    assert states(rig.link)[-1] == "offline"
    assert rig.link.end == "aborted"


def test_stop_with_a_long_queue_still_says_offline() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[Accepted(window=1, max_packet_bytes=10_000)])]
    connected(rig)
    rig.link.acks = False
    for number in range(50):
        rig.inbox.put_notice(event(number))
    by_s = rig.clock() + 4.0
    acked = 0

    def poll(timeout_s: float, plain: object = rig.link.poll) -> list[object]:
        nonlocal acked
        rig.clock.now_s += 0.2  # a slow broker: one acknowledgement each 0.2 s
        acked = max(acked, len(rig.link.sent) - 1) + 1
        return [Acked(acked)]

    rig.link.poll = poll  # type: ignore[method-assign,assignment]
    assert not rig.network.finish(by_s)
    assert states(rig.link)[-1] == "offline"
    assert rig.link.end == "closed", "offline was acknowledged: the will is not needed"


def test_stop_without_a_connection_does_not_wait() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, fault=ConnectionRefusedError())]
    rig.steps(1)
    started_s = rig.clock()
    assert not rig.network.finish(started_s + 5.0)
    assert rig.clock() == started_s


def test_after_the_thread_died_everything_unacknowledged_waits_again() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, acks=False)]
    rig.inbox.put_notice(event(1))
    rig.steps(6)
    rig.network.drop()
    assert rig.dialled[0].end == "aborted"
    assert not rig.network.status.connected
    rig.run_until(lambda: rig.session.is_idle() and rig.network.status.connected)
    assert numbers(rig.link) == [1]


# ---- what the broker keeps for us


def asked(rig: Rig) -> list[tuple[int, bool]]:
    return [(link.version, link.keeps) for link in rig.dialled]


def test_the_broker_is_asked_to_keep_what_is_sent_to_us_when_the_settings_want_it() -> None:
    for wants in (False, True):
        rig = Rig(wants_session=wants)
        rig.steps(2)
        assert asked(rig) == [(5, wants)]


def test_only_what_others_ask_is_kept_for_us_and_never_our_own_words() -> None:
    rig = Rig(wants_session=True)
    rig.steps(2)
    assert {topic.removeprefix("edge/v1/home/"): qos for topic, qos in rig.link.asked_qos.items()} == {
        "cam1/state": 0,
        "cam1/a/+": 0,
        "cam1/cmd/+/+": 1,
        "cam1/desired": 1,
        "$all/cmd/+/+": 1,
    }


@pytest.mark.parametrize("code", [0x80, 0x83, 0x85, 0x97])
def test_a_broker_that_refuses_to_keep_anything_is_used_without(code: int, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(wants_session=True)
    rig.links = [Link(rig.clock, greeting=[Refused(code, "no sessions"), Closed("")])]
    started_s = rig.clock()
    rig.run_until(lambda: rig.network.status.connected)
    assert rig.clock() - started_s <= 3.0, "at once"
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    assert asked(rig) == [(5, True), (5, False), (5, False)]
    assert caplog.text.count("commands sent then are lost") == 1


@pytest.mark.parametrize("code", [0x86, 0x87, 0x88, 0x9F])
def test_a_refusal_that_names_another_fault_costs_no_session(code: int) -> None:
    rig = Rig(wants_session=True)
    rig.links = [Link(rig.clock, greeting=[Refused(code, "other"), Closed("")]) for _ in range(3)]
    rig.run_until(lambda: rig.network.status.connected)
    assert asked(rig) == [(5, True)] * 4


def test_a_refusal_with_and_without_a_session_is_not_about_it() -> None:
    rig = Rig(wants_session=True)
    rig.links = [Link(rig.clock, greeting=[Refused(0x80, "bad day"), Closed("")]) for _ in range(2)]
    rig.run_until(lambda: rig.network.status.connected)
    assert asked(rig) == [(5, True), (5, False), (5, True)]


def test_a_broker_that_hangs_up_again_and_again_is_asked_without_now_and_then() -> None:
    rig = Rig(wants_session=True)
    rig.links = [Link(rig.clock, greeting=[Closed("")]) for _ in range(20)]
    rig.run_until(lambda: rig.network.status.connected)
    assert asked(rig)[:10] == [(5, True), (4, True)] * 4 + [(5, False), (4, False)]
    assert asked(rig)[10:] == [*asked(rig)[:10], (5, True)]


def test_hang_ups_cost_no_session_that_there_was() -> None:
    rig = Rig(wants_session=True)
    rig.run_until(lambda: rig.network.status.connected)
    rig.links = [Link(rig.clock, greeting=[Closed("")]) for _ in range(20)]
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    assert all(keeps for _, keeps in asked(rig))


def test_at_debug_each_dialling_and_each_message_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "agent.publish")
    rig = Rig()
    rig.inbox.put_window(perf_report())
    connected(rig)
    assert "dials mqtt://broker:1883, MQTT 5" in caplog.messages
    size = len(rig.link.on("m/perf")[0].body)
    assert f"sent {P}/m/perf, {size} bytes" in caplog.messages
    caplog.clear()
    caplog.set_level(logging.INFO, "agent.publish")
    rig.inbox.put_window(perf_report())
    rig.steps(6)
    assert not [line for line in caplog.messages if line.startswith("sent ")]


def test_a_wake_that_nobody_uses_any_more_leaves_no_descriptor() -> None:
    wake = Wake()
    wake.set()
    ends = wake._reader, wake._writer
    assert all(end.fileno() >= 0 for end in ends)
    del wake
    gc.collect()
    assert [end.fileno() for end in ends] == [-1, -1]
