"""The power chip of a Raspberry Pi 5: from the firmware's text to joules, and what is not believed or waited for."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench.observe import Observer
from agent.measure import Load, RailMeter, mailbox
from agent.measure.mailbox import Mailbox
from agent.measure.rails import MOST_AMPS, Rail, parse, watts
from tests.bench_fakes import Time
from tests.measure_trees import FakeFirmware, firmware, pi, sensors, tree
from tests.servers.mosquitto import wait_until

TEXT = (Path(__file__).parent / "fixtures/mailbox/pi5-pmic-read-adc.txt").read_text()
WATTS = 10.799894
"""By awk, line by line: amps times the volts of the same name."""

NAMES = st.lists(st.from_regex(r"[A-Z0-9_]{1,20}", fullmatch=True), min_size=1, max_size=12, unique=True)


def pi5(text: str = TEXT) -> FakeFirmware:
    way = firmware()
    way.commands["pmic_read_adc"] = text
    return way


def test_a_board_s_own_answer_is_twelve_rails_and_their_watts() -> None:
    rails = parse(TEXT)
    assert len(rails) == 12
    assert {rail.name for rail in rails} & {"EXT5V", "BATT"} == set()
    assert Rail("VDD_CORE", 0.8974594, 10.87674) in rails
    assert watts(rails) == pytest.approx(WATTS, abs=1e-5)


@given(NAMES, st.data())
def test_rails_are_paired_by_name_whatever_their_order(names: list[str], data: st.DataObject) -> None:
    told = {name: (data.draw(st.integers(0, 600)) / 100, data.draw(st.integers(0, 4000)) / 100) for name in names}
    lines = [f" {name}_A current(1)={amps:.8f}A" for name, (_, amps) in told.items()]
    lines += [f"{name}_V volt(2)={volts:.8f}V" for name, (volts, _) in told.items()]
    rails = parse("\n".join(data.draw(st.permutations(lines))))
    assert {rail.name: (rail.volts, rail.amps) for rail in rails} == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT[:-3], "cut, or of another firmware"),
        ("\n".join(TEXT.splitlines()[:20]), "no volts for 0V8_AON, 3V3_ADC, 3V3_DAC, HDMI: cut"),
        ("EXT5V_V volt(24)=5.06788000V", "no volts for any current"),
        ("HDMI_A current(22)=0.01V\nHDMI_V volt(23)=5.0V", "cut, or of another firmware"),
        ("HDMI_A volt(22)=0.01A\nHDMI_V volt(23)=5.0V", "cut, or of another firmware"),
        (f"HDMI_A current(22)={MOST_AMPS + 1}A\nHDMI_V volt(23)=5.0V", "cannot bear"),
        ("HDMI_A current(22)=1.0A\nHDMI_V volt(23)=65.5V", "cannot bear"),
        ("garbage", "'garbage': cut"),
        ("", "any current"),
    ],
)
def test_what_is_cut_or_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)


@given(st.text(max_size=300))
def test_no_text_does_more_than_a_fault(text: str) -> None:
    with suppress(ValueError):
        assert watts(parse(text)) >= 0.0


def test_the_question_is_no_longer_than_python_lets_go_of_its_lock_for() -> None:
    way = pi5()
    lengths = []
    way.lies = lambda answer: lengths.append(len(answer)) or answer  # type: ignore[func-returns-value]
    rails = Mailbox(way).rails()
    assert rails is not None
    assert len(rails) == 12
    assert way.asked == [mailbox.GET_GENCMD_RESULT]
    assert lengths == [1024], "CPython before 3.14 holds all threads up during a longer ioctl"
    assert len(TEXT) < mailbox.GENCMD_BYTES


def test_a_firmware_without_the_command_is_asked_once() -> None:
    way = firmware()
    box = Mailbox(way)
    assert [box.rails(), box.rails()] == [None, None]
    assert len(way.asked) == 1
    assert box.pmic_celsius() == 44.9, "which says nothing of other commands"


def test_only_a_pi_5_with_a_mailbox_is_asked(tmp_path: Path) -> None:
    ask = sensors(pi(tmp_path, "pi5"), pi5()).watts()
    assert ask is not None
    assert ask() == pytest.approx(WATTS, abs=1e-5)
    assert sensors(tmp_path / "pi5").watts() is None, "no mailbox"
    for name in ("pi3", "pi4", "zero2w"):
        assert sensors(pi(tmp_path, name), pi5()).watts() is None
    assert sensors(tree(tmp_path, "pc")).watts() is None


class Chip:
    """A power chip that says what it is told to, as often as the test lets it."""

    def __init__(self, *said: float | Exception | None) -> None:
        self.said, self.looks = list(said), 0
        self.done = threading.Event()

    def __call__(self) -> float | None:
        word = self.said[min(self.looks, len(self.said) - 1)]
        self.looks += 1
        if self.looks >= len(self.said):
            self.done.set()
        if isinstance(word, Exception):
            raise word
        return word


def energy(*said: float | Exception | None, seconds: float = 10.0) -> float | None:
    """Joules of so many seconds in which the chip said this, and its last word for as long as it took."""
    chip, clock = Chip(*said), Time()
    meter = RailMeter(chip, clock, look_s=0.001)
    clock.now_s += 1000.0  # before the begin
    meter.begin()
    assert chip.done.wait(20)
    clock.now_s += seconds
    return meter.joules()


def test_joules_are_the_mean_of_the_looks_times_the_time() -> None:
    assert energy(5.0) == pytest.approx(50.0)
    assert energy(5.0, seconds=2.0) == pytest.approx(10.0)
    found = energy(2.0, 8.0)  # more looks at 8 W may follow
    assert found is not None
    assert 50.0 <= found < 80.0


def test_a_look_that_fails_is_left_out_and_too_many_tell_nothing() -> None:
    assert energy(OSError(errno.ETIMEDOUT, "timed out"), 5.0, 5.0, 5.0) == pytest.approx(50.0)
    assert energy(5.0, *[ValueError("cut")] * 9) is None
    assert energy(None) is None


def test_without_a_look_nothing_is_told_and_nothing_twice() -> None:
    clock = Time()
    meter = RailMeter(lambda: 5.0, clock, look_s=1000.0)
    assert meter.joules() is None, "never begun"
    meter.begin()
    clock.now_s += 1.0
    assert meter.joules() is None, "it was over before the first look"
    assert energy(5.0) is not None
    meter.close()
    assert meter.joules() is None


def looking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "power"]


def test_a_chip_that_hangs_keeps_one_thread_and_holds_nobody() -> None:
    lets_go = threading.Event()
    asked: list[int] = []

    def hang() -> float:
        asked.append(1)
        lets_go.wait(60)
        return 5.0

    clock = Time()
    meter = RailMeter(hang, clock, look_s=0.001)
    try:
        meter.begin()
        assert wait_until(lambda: bool(asked))
        for _ in range(3):
            assert meter.joules() is None
            meter.begin()
        assert len(looking()) == 1
    finally:
        lets_go.set()
    assert wait_until(lambda: not looking())
    assert len(asked) == 1
    meter.begin()
    assert wait_until(lambda: len(asked) > 2)
    clock.now_s += 2.0
    assert meter.joules() == pytest.approx(10.0), "it is looked at again once it answers"
    assert wait_until(lambda: not looking())


def test_the_benchmark_s_windows_carry_it_on_a_pi_5(tmp_path: Path) -> None:
    clock, board = Time(), sensors(pi(tmp_path, "pi5"), pi5())
    observer = Observer(board, tmp_path / "pi5", clock, lambda _: Load(1.0, 1.0, 1.0, 1.0))
    observer.begin()
    assert not observer.close()  # type: ignore[func-returns-value]
    assert wait_until(lambda: not looking())
    asked: list[float] = []
    observer._energy = RailMeter(counting(board.watts(), asked), clock, look_s=0.001)
    observer.begin()
    assert wait_until(lambda: len(asked) > 1)
    clock.now_s += 3.0
    seen = observer.end()
    assert seen.energy_joules == pytest.approx(3 * WATTS, abs=1e-3)
    assert seen.energy_source == "pmic"
    observer.close()


def counting(ask: Callable[[], float | None] | None, asked: list[float]) -> Callable[[], float | None]:
    assert ask is not None

    def look() -> float | None:
        found = ask()
        asked.append(found or 0.0)
        return found

    return look


def test_a_firmware_that_lies_costs_the_figure_only(tmp_path: Path) -> None:
    way = pi5()
    way.lies = lambda answer: answer[:8] + struct.pack("<I", 1) + answer[12:]
    ask = sensors(pi(tmp_path, "pi5"), pi5("VDD_CORE_A current(7)=99.0A\nVDD_CORE_V volt(15)=0.9V")).watts()
    assert ask is not None
    with pytest.raises(ValueError, match="cannot bear"):
        ask()
    with pytest.raises(ValueError, match="mailbox answered"):
        Mailbox(way).rails()
