"""What readings mean: alarms once, episodes told, a planned restart without a loop, and what survives the process."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import MeasureConfig
from agent.diary import FILE_NAME, Diary, Page
from agent.publish import topics, translate
from agent.records import BoardReading, CameraStatus, Health, PerfReport, ProcessReading, ThermalReading
from agent.vitals import CALM_S, EVENTS_AN_HOUR, Vitals
from tests.measure_trees import sensors, tree, write
from tests.publish_fakes import perf_report, stamp
from tests.test_measure_thermal import unprivileged

BOOT = "1c6fd6b0-f6a7-4f21-9f6d-1f8f1b6b7f10"


class Broker:
    def __init__(self) -> None:
        self.alarms: list[tuple[str, str | None]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def alarm(self, alarm_id: str, message: str | None) -> None:
        self.alarms.append((alarm_id, message))

    def event(self, kind: str, data: dict[str, Any]) -> None:
        body = msgspec.json.encode(translate.event(stamp(), kind, data))
        assert msgspec.json.encode(topics.decode(f"edge/v1/home/cam1/e/{kind}", body)) == body, "as the contract says"
        self.events.append((kind, data))


class Life:
    """One life of the agent on a board whose clock is ours."""

    def __init__(self, folder: Path | None, root: Path, now_s: float = 1000.0, boot_s: float = 5000.0, **limits: float):
        self.now_s, self.boot_s = now_s, boot_s
        self.broker, self.diary = Broker(), Diary(folder)
        self.sensors = sensors(root)
        self.vitals = Vitals(
            MeasureConfig(**limits),  # type: ignore[arg-type]
            self.sensors,
            self.broker,  # type: ignore[arg-type]
            self.diary,
            clock=lambda: self.now_s,
            boot_s=lambda: self.boot_s,
        )

    def begin(self) -> Life:
        self.vitals.begin()
        return self

    def go(self, seconds: float) -> None:
        self.now_s += seconds
        self.boot_s += seconds

    def take(self, word: int | None = None, celsius: float | None = None, **process: int) -> None:
        heat = ThermalReading(soc_celsius=celsius, throttle_bits=word)
        self.vitals.take(BoardReading(self.now_s, ProcessReading(**process), heat), 1)

    def card(self) -> Health:
        empty = BoardReading(self.now_s, ProcessReading(), ThermalReading())
        return self.vitals.complete(Health(0.0, None, CameraStatus("streaming"), empty, 0.0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tree(tmp_path, "pi4"), {"proc/sys/kernel/random/boot_id": f"{BOOT}\n"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def window(p99_s: float) -> PerfReport:
    report = perf_report()
    return replace(report, stages={"total": replace(report.stages["total"], p99_s=p99_s)})


def test_heat_and_voltage_raise_their_alarms_once_and_clear_them_once_calm(root: Path) -> None:
    life = Life(None, root)
    for word in (0, 0x5, 0x1, 0x5, 0, 0, 0x4, 0):
        life.take(word, 81.25)
        life.go(5.0)
    assert life.broker.alarms == [
        ("undervoltage", "under-voltage: the supply or its cable is too weak, 81.2 C"),
        ("thermal", "the firmware throttles the clock, 81.2 C"),
    ]
    for _ in range(int(CALM_S // 5) + 10):
        life.take(0, 60.0)
        life.go(5.0)
    assert life.broker.alarms[2:] == [("undervoltage", None), ("thermal", None)]


def test_an_episode_is_told_when_it_has_ended_and_counted_in_the_card(root: Path) -> None:
    life = Life(None, root)
    for word, celsius in ((0, 70.0), (0x4, 81.0), (0x4, 84.04), (0, 80.0)):
        life.take(word, celsius)
        life.go(5.0)
    assert life.card().episodes["throttled"].count == 1
    assert life.broker.events == []
    life.go(30.0)
    life.take(0, 60.0)
    data = {"cause": "throttled", "ago_s": 45.0, "duration_s": 10.0, "peak_celsius": 84.0}
    assert life.broker.events == [("throttled", data)]
    assert life.card().episodes["throttled"].seconds == 10.0


def test_a_board_on_the_edge_does_not_send_all_day(root: Path) -> None:
    life = Life(None, root)
    for _ in range(200):
        for word in (0x4, 0, 0, 0, 0, 0, 0, 0):
            life.take(word)
            life.go(5.0)
    assert life.card().episodes["throttled"].count == 200
    hours = 200 * 40.0 / 3600.0
    assert len(life.broker.events) <= EVENTS_AN_HOUR * (int(hours) + 1)
    assert life.broker.alarms == [("thermal", "the firmware throttles the clock")]


def test_a_p99_over_its_limit_is_an_alarm_with_patience(root: Path) -> None:
    life = Life(None, root, p99_limit_s=0.1)
    for p99_s in (0.2, 0.2, 0.05, 0.2, 0.2, 0.25, 0.09, 0.09, 0.09, 0.09, 0.07, 0.07, 0.07):
        life.vitals.perf(window(p99_s))
        life.take()
    assert life.broker.alarms == [
        ("latency", "p99 of the work on a frame is 0.250 s, above 0.1 s"),
        ("latency", None),
    ]


def test_memory_that_grows_is_an_alarm(root: Path) -> None:
    life = Life(None, root)
    for minute in range(6 * 60):
        life.take(uss_bytes=100 * 2**20 + minute * 2**20 // 10, rss_bytes=1)
        life.go(60.0)
    assert life.broker.alarms == [("memory-growth", "private memory grows by 6.0 MiB an hour")]
    assert life.card().growth is not None


def test_memory_over_its_limit_ends_the_agent_after_ten_minutes_and_is_remembered(folder: Path, root: Path) -> None:
    life = Life(folder, root, memory_limit_bytes=200).begin()
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == "", "at once it would be a loop"
    life.go(600.0)
    life.take(rss_bytes=200)
    assert life.vitals.restart_reason == "", "the limit itself is allowed"
    life.take(rss_bytes=201)
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == "memory-limit"
    assert life.card().planned_restarts == 1
    life.vitals.end("memory-limit")

    life.go(3.0)
    second = Life(folder, root, 0.0, life.boot_s, memory_limit_bytes=200).begin()
    assert second.broker.events == [("restarted", {"reason": "memory-limit", "gap_s": 3.0, "planned": 1})]
    second.go(1199.0)
    second.take(rss_bytes=300)
    assert second.vitals.restart_reason == "", "twice as long as before"
    second.go(1.0)
    second.take(rss_bytes=300)
    assert second.vitals.restart_reason == "memory-limit"
    second.vitals.end("memory-limit")
    assert Life(folder, root).diary.former == Page(
        boot_id=BOOT,
        marked_s=second.boot_s,
        ended="memory-limit",
        blind={"start": 1800.0, "restart": 3.0},
        planned_restarts=2,
        restarts_in_a_row=2,
    )


def test_a_life_of_a_day_breaks_the_row(folder: Path, root: Path) -> None:
    Diary(folder).write(Page(boot_id=BOOT, marked_s=1.0, planned_restarts=9, restarts_in_a_row=9))
    life = Life(folder, root, memory_limit_bytes=200).begin()
    life.go(86_399.0)
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == ""
    life.go(1.0)
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == "memory-limit"
    former = Diary(folder).former
    assert former is not None
    assert (former.planned_restarts, former.restarts_in_a_row) == (10, 1)


def test_where_nothing_is_remembered_a_planned_restart_takes_an_hour(root: Path) -> None:
    life = Life(None, root, memory_limit_bytes=200).begin()
    life.go(3599.0)
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == ""
    life.go(1.0)
    life.take(rss_bytes=201)
    assert life.vitals.restart_reason == "memory-limit"


def test_blind_seconds_survive_and_the_gap_between_two_lives_is_one(folder: Path, root: Path) -> None:
    first = Life(folder, root).begin()
    first.vitals.camera("streaming", 1000.0)
    first.vitals.answered(1002.0)
    first.go(100.0)
    first.vitals.end("stopped")
    first.go(40.0)
    second = Life(folder, root, now_s=7.0, boot_s=first.boot_s).begin()
    assert second.broker.events == [("restarted", {"reason": "stopped", "gap_s": 40.0, "planned": 0})]
    second.vitals.answered(9.5)
    card = second.card()
    assert card.blind == {"start": 4.5, "restart": 40.0}
    assert card.blind_s == 2.5, "of this life"


def test_a_crash_is_told_and_counts_from_the_last_mark(folder: Path, root: Path) -> None:
    first = Life(folder, root).begin()
    first.go(100.0)
    second = Life(folder, root, boot_s=first.boot_s).begin()
    assert second.broker.events == [("restarted", {"reason": "crash", "gap_s": 100.0, "planned": 0})]


def test_after_a_reboot_the_time_since_the_kernel_s_start_counts(folder: Path, root: Path) -> None:
    first = Life(folder, root).begin()
    first.sensors.seen_bits = 5
    first.go(1000.0)
    first.take()
    write(root, {"proc/sys/kernel/random/boot_id": "another\n"})
    second = Life(folder, root, now_s=33.0, boot_s=33.0).begin()
    assert second.broker.events == [("restarted", {"reason": "reboot", "gap_s": 33.0, "planned": 0})]
    assert second.sensors.seen_bits == 0, "what was seen was of another boot"
    assert second.card().blind["reboot"] == 33.0


def test_throttle_bits_of_this_boot_are_remembered(folder: Path, root: Path) -> None:
    first = Life(folder, root).begin()
    first.sensors.seen_bits = 4
    first.vitals.end("stopped")
    assert Life(folder, root).begin().sensors.seen_bits == 4


def test_the_first_life_of_all_tells_of_no_restart(folder: Path, root: Path) -> None:
    assert Life(folder, root).begin().broker.events == []


def test_the_card_is_written_rarely(folder: Path, root: Path) -> None:
    life = Life(folder, root).begin()
    life.vitals.camera("streaming", life.now_s)
    life.vitals.answered(life.now_s)
    written = set()
    for second in range(0, 7200, 5):
        life.go(5.0)
        life.vitals.camera("down" if second % 10 else "streaming", life.now_s)
        life.take()
        written.add(msgspec.json.decode((folder / FILE_NAME).read_bytes())["marked_s"])
    assert 12 <= len(written) <= 121, "each minute at most, however the camera flickers"


def test_nothing_is_written_after_the_last_word(folder: Path, root: Path) -> None:
    life = Life(folder, root).begin()
    life.vitals.end("stopped")
    life.go(10_000.0)
    life.take()
    assert Diary(folder).former == Page(boot_id=BOOT, marked_s=5000.0, ended="stopped", blind={"start": 0.0})


def test_a_clock_that_stands_still_stops_nothing(folder: Path, root: Path) -> None:
    life = Life(folder, root, memory_limit_bytes=1).begin()
    for word in (0, 4, 0, 4, 0) * 20:
        life.take(word, 80.0, rss_bytes=100, uss_bytes=100)
    assert life.card().blind == {"start": 0.0}
    assert life.vitals.restart_reason == ""


def test_a_wall_clock_has_no_part_in_it(folder: Path, root: Path) -> None:
    life = Life(folder, root).begin()
    life.boot_s -= 4000.0  # even if the boot clock were to lie, nothing becomes less than nothing
    second = Life(folder, root, boot_s=life.boot_s).begin()
    assert second.card().blind["restart"] == 0.0


@given(st.binary(max_size=200))
def test_no_content_of_the_diary_stops_the_agent(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("diary")
    (folder / FILE_NAME).write_bytes(junk)
    diary = Diary(folder)
    assert diary.write(Page(boot_id="b", marked_s=1.0))
    assert Diary(folder).former == Page(boot_id="b", marked_s=1.0)


@pytest.mark.parametrize(
    "content",
    ['{"planned_restarts": -1}', '{"seen_bits": 16}', '{"blind": {"start": 1e300}}', "[" * 100_000, '{"blind": 1}', ""],
)
def test_a_diary_that_no_agent_wrote_is_moved_aside(folder: Path, content: str) -> None:
    (folder / FILE_NAME).write_text(content)
    assert Diary(folder).former is None
    assert (folder / f"{FILE_NAME}.corrupt").read_text() == content


def test_a_diary_of_a_later_version_is_read(folder: Path) -> None:
    (folder / FILE_NAME).write_text('{"blind": {"of a later version": 3.5}, "more": []}')
    assert Diary(folder).former == Page(blind={"of a later version": 3.5})


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary(tmp_path / "gone")
    with caplog.at_level(logging.INFO, logger="agent.diary"):
        assert [diary.write(Page()) for _ in range(3)] == [False] * 3
        assert not diary.is_lasting
        (tmp_path / "gone").mkdir()
        assert diary.write(Page())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert diary.is_lasting


def test_a_disk_that_refuses_leaves_the_former_page(folder: Path) -> None:
    diary = Diary(folder)
    diary.write(Page(marked_s=1.0))
    (folder / f".{FILE_NAME}.{os.getpid()}").mkdir()  # the fresh file cannot be made
    assert not diary.write(Page(marked_s=2.0))
    assert Diary(folder).former == Page(marked_s=1.0)


def test_a_diary_that_may_not_be_read_is_said_and_forgotten(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / FILE_NAME).write_text("{}")
    (folder / FILE_NAME).chmod(0)
    for path in (folder, *folder.parents):
        if path.owner() == folder.owner() and path.stat().st_mode & stat.S_IRWXO == 0:
            path.chmod(0o755)
    with unprivileged():
        assert Diary(folder).former is None
    assert "cannot be read: Permission denied" in caplog.text


def test_limits_can_be_changed_while_it_runs(root: Path) -> None:
    life = Life(None, root, p99_limit_s=0.0)
    vitals = life.vitals
    for _ in range(3):
        vitals.perf(window(0.5))
    life.take()
    assert life.broker.alarms == []
    vitals.reconfigure(MeasureConfig(p99_limit_s=0.2, hung_s=2.0, growth_limit_bytes=7, growth_hold_s=9.0))
    for _ in range(3):
        vitals.perf(window(0.5))
    life.take()
    assert life.broker.alarms == [("latency", "p99 of the work on a frame is 0.500 s, above 0.2 s")]
    assert (vitals._growth.limit_bytes_hour, vitals._growth.hold_s) == (7, 9.0)
    vitals.reconfigure(MeasureConfig())
    vitals.perf(window(0.5))
    life.take()
    assert life.broker.alarms[1:] == [("latency", None)]


def test_a_shorter_patience_with_a_silent_model_holds_at_once(root: Path) -> None:
    life = Life(None, root, hung_s=60.0)
    life.vitals.camera("streaming", life.now_s)
    life.vitals.answered(life.now_s)
    life.vitals.idle(life.now_s)
    life.go(10.0)
    life.take()
    assert life.broker.alarms == []
    life.vitals.reconfigure(MeasureConfig(hung_s=5.0))
    life.take()
    assert [name for name, message in life.broker.alarms if message] == ["latency"]
    assert "no answer for 5 s" in str(life.broker.alarms[0][1])
