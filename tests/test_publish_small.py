"""The small parts: envelope, connection number, inbox, the sentences for what went wrong."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish import reasons
from agent.publish.access import Access
from agent.publish.conn import FILE_NAME, ConnCounter
from agent.publish.inbox import MAX_NOTICES, MAX_WINDOWS, Happening, Inbox
from agent.publish.selfwatch import SelfWatch
from agent.publish.stamp import Stamper, new_boot
from tests.publish_fakes import WALL_S, Clock, Wake, board_reading, perf_report

# ---- envelope


@given(st.lists(st.sampled_from(["m/perf", "m/sys", "a", "e", "state"]), max_size=60))
def test_seq_rises_by_one_in_each_class(classes: list[str]) -> None:
    clock = Clock()
    stamper = Stamper(device="cam1", boot="b", clock=clock, wall=clock.wall)
    seen: dict[str, list[int]] = {}
    for cls in classes:
        seen.setdefault(cls, []).append(stamper.stamp(cls)["seq"])
    for numbers in seen.values():
        assert numbers[0] == 1
        assert all(b == a + 1 for a, b in pairwise(numbers))


def test_stamp_carries_the_time_of_the_thing_and_not_of_the_stamping() -> None:
    clock = Clock(500.0)
    stamper = Stamper(device="cam1", boot="b", clock=clock, wall=clock.wall)
    assert stamper.stamp("e", at_s=440.0)["ts"] == WALL_S + 440.0
    assert stamper.stamp("e")["ts"] == WALL_S + 500.0


def test_board_that_has_not_learned_the_time_says_so() -> None:
    clock = Clock(12.5)
    stamp = Stamper(device="cam1", boot="b", clock=clock, wall=lambda: 1_600_000_000.0).stamp("e")
    assert (stamp["clk"], stamp["up"]) == ("unsynced", 12.5)
    assert Stamper(device="cam1", boot="b", clock=clock, wall=clock.wall).stamp("e")["up"] is None


def test_boots_differ() -> None:
    assert len({new_boot() for _ in range(100)}) == 100


# ---- connection number


def test_connection_number_survives_a_restart(tmp_path: Path) -> None:
    first = ConnCounter(tmp_path)
    assert (first.next, first.next) == (1, 1), "an attempt that fails spends no number"
    first.used()
    first.used()
    assert ConnCounter(tmp_path).next == 3


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff\xff", b"-5"])
def test_broken_connection_number_starts_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert ConnCounter(tmp_path).next == 1


def test_unwritable_state_dir_is_said_once_and_counting_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counter = ConnCounter(tmp_path / "absent")
    counter.used()
    counter.used()
    assert counter.next == 3
    assert len(caplog.records) == 1
    assert "cannot keep the connection number" in caplog.text


def test_connection_number_goes_on_from_the_one_given() -> None:
    assert ConnCounter(None, last=41).next == 42


# ---- inbox


def test_inbox_is_bounded_and_counts_what_it_loses() -> None:
    inbox = Inbox(Wake(Clock()))  # type: ignore[arg-type]
    for number in range(MAX_WINDOWS + 3):
        inbox.put_window(perf_report(started_s=float(number)))
    inbox.put_window(board_reading())
    for number in range(MAX_NOTICES + 2):
        inbox.put_notice(Happening("x", {"n": number}, 0.0))
    assert len(inbox) == MAX_WINDOWS + MAX_NOTICES
    assert inbox.take_losses() == {"m/perf": 4, "e": 2}
    assert inbox.take_losses() == {}
    first = inbox.pop()
    assert isinstance(first, Happening)
    assert first.data == {"n": 2}, "the oldest are lost, the newest kept"


def test_inbox_gives_notices_before_windows() -> None:
    inbox = Inbox(Wake(Clock()))  # type: ignore[arg-type]
    inbox.put_window(board_reading())
    inbox.put_notice(Happening("x", {}, 0.0))
    assert [type(inbox.pop()).__name__ for _ in range(3)] == ["Happening", "BoardReading", "NoneType"]


# ---- self-watch


def shown(state: str, boot: str = "me", conn: int = 5) -> bytes:
    return f'{{"v":1,"id":"c","boot":"{boot}","conn":{conn},"seq":1,"ts":1,"clk":"ok","state":"{state}"}}'.encode()


def test_selfwatch_knows_its_former_life_from_a_rival() -> None:
    watch = SelfWatch("me")
    assert watch.look(shown("online", "old", 4), "online") == "fine", "retained from the last run"
    watch.shown()
    assert watch.look(shown("online"), "online") == "fine"
    assert watch.look(shown("lost"), "online") == "wrong"
    assert watch.look(shown("lost", "old", 4), "online") == "wrong", "the last will of the last run comes late"
    assert watch.look(shown("online", "other", 9), "online") == "rival"
    assert watch.look(shown("online", "other", 9), "online") == "wrong", "already known"
    assert watch.look(shown("online", "other", 10), "online") == "rival", "it is back"
    assert watch.look(shown("lost", "other", 11), "online") == "rival", "it was back, and we threw it out"
    assert watch.look(shown("online", "old", 6), "online") == "rival", "the last run still runs"
    assert watch.look(b"", "online") == "gone", "taken off the broker"
    assert watch.look(b"{nonsense", "online") == "wrong"


# ---- sentences

ACCESS = Access("cam.lan", 8883, tls=ssl.create_default_context(), username="agent", password="hush")


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "reason"
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot resolve the broker's name 'cam.lan'"),
        (UnicodeError("label too long"), "cannot resolve the broker's name 'cam.lan'"),
        (ConnectionRefusedError(), "nothing listens on mqtts://cam.lan:8883"),
        (TimeoutError(), "no answer from mqtts://cam.lan:8883 within 10 s"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (ConnectionResetError(104, "reset"), "does that port speak TLS"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "does that port speak TLS"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] x"), "our certificate (mqtt.cert_file) has expired"),
        (certificate_error(10), "has expired: renew it"),
        (certificate_error(9), "is not valid yet: is the board's clock right?"),
        (certificate_error(62), "is for another name: set mqtt.host"),
        (certificate_error(19), "not from a CA that we trust (reason): check mqtt.ca_file"),
    ],
)
def test_every_failure_has_its_sentence(error: Exception, says: str) -> None:
    sentence = reasons.of_error(error, ACCESS)
    assert says in sentence
    assert "\n" not in sentence
    assert "hush" not in sentence


def test_refusals_say_which_setting() -> None:
    assert "refuses user 'agent' (Not authorized): check mqtt.username" in reasons.of_refusal(
        0x87, "Not authorized", ACCESS
    )
    assert "device.id" in reasons.of_refusal(0x85, "Client identifier not valid", ACCESS)
    assert "without user name" in reasons.of_refusal(0x87, "Not authorized", Access("b", 1883))


def test_closed_before_the_answer_says_what_may_be_missing() -> None:
    assert "want a client certificate (mqtt.cert_file)" in reasons.of_early_close("", ACCESS)
    assert "not accept our certificate" in reasons.of_early_close("", replace(ACCESS, has_certificate=True))
    assert "want TLS" in reasons.of_early_close("", Access("b", 1883))
    alert = "failed to receive on socket: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"
    assert "set mqtt.cert_file and mqtt.key_file" in reasons.of_early_close(alert, ACCESS)


def test_the_password_is_in_no_repr() -> None:
    assert "hush" not in repr(ACCESS)
