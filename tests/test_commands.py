"""Commands from afar: a closed list, each answered once, none a way in."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.commands import (
    JPEG_BYTES,
    KINDS,
    Benching,
    BenchResults,
    Commands,
    Diag,
    Errands,
    Ledger,
    LogLevels,
    Operation,
    Pictures,
    Rebirth,
    Relearn,
    Restart,
    Snapshots,
    Tail,
    encode,
    offered,
    operation,
    share,
)
from agent.commands.budget import Budget
from agent.commands.desk import MOST_SPREAD
from agent.commands.diag import MOST_BYTES
from agent.commands.ledger import FILE_NAME, MOST_ROWS
from agent.errors import AgentError, CameraError, ConfigError, StorageError, UnavailableError
from agent.publish import translate
from agent.records import Answer, Command, Detections, Frame, FrameResult, Labels, StageTimes
from tests.publish_fakes import Clock
from tests.servers.mosquitto import wait_until

FINAL = {"succeeded", "failed", "rejected", "expired"}


class SameThread(Errands):
    """Errands that a test does itself, on its own clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.clock = clock

    def turn(self, until_s: float | None = None) -> None:
        """Do what is due now, or by then."""
        while self._waiting and self._waiting[0][0] <= (self.clock.now_s if until_s is None else until_s):
            self.clock.now_s = max(self.clock.now_s, self._waiting[0][0])
            errand = self._next()
            assert errand is not None
            errand()


class Desk:
    """A board's commands, with all that they touch in the hands of the test."""

    def __init__(self, folder: Path | None = None, **operations: Operation) -> None:
        self.clock = Clock()
        self.said: list[Answer] = []
        self.births: list[float] = []
        self.levels: list[str] = []
        self.ended: list[str] = []
        self.fault: AgentError | None = None
        self.is_throttled: bool | None = None
        self.errands = SameThread(self.clock)
        self.ledger = Ledger(folder, self.clock.wall, self.clock)
        self.snapshots = Snapshots(Labels({0: "cat"}))
        self.tail = Tail()
        self.benching = Benching(self.progress, self.finish, lambda: self.is_throttled, folder)
        standard: dict[str, Operation] = {
            "snapshot": self.snapshots,
            "rebirth": Rebirth(lambda: self.births.append(self.clock.now_s), self.clock),
            "diag": Diag({"board": lambda: {"cores": 4}}, self.tail),
            "restart": Restart(lambda: self.ended.append("ended"), lambda: self.ledger.is_lasting),
            "relearn": Relearn(self.relearn),
            "bench": self.benching,
            "bench-result": BenchResults(folder),
            "loglevel": LogLevels("info", self.levels.append, self.errands, self.clock),
        }
        self.commands = Commands(
            self.said.append,
            standard | operations,
            ledger=self.ledger,
            errands=self.errands,
            device="cam1",
            clock=self.clock,
            wall=self.clock.wall,
        )

    def relearn(self) -> str:
        if self.fault is not None:
            raise self.fault
        return "learns"

    def progress(self, answer: Answer) -> None:
        self.commands.progress(answer)

    def finish(self, answer: Answer) -> None:
        self.commands.finish(answer)

    def main_thread(self) -> None:
        """What a benchmark was asked for is done, and fails: there is no camera here."""

        def measure(*_: object) -> Any:
            raise CameraError("no camera")

        self.benching.turn(measure, lambda: False, lambda: None)
        self.errands.turn()

    def ask(self, op: str, name: str = "1", args: Any = None) -> Answer:
        """The last reply to a request."""
        self.commands.take(Command(op, name, args={} if args is None else args))
        self.errands.turn()
        return self.said[-1]

    def ask_all(self, op: str, name: str, spread_s: float | None) -> None:
        self.commands.take(Command(op, name, to_all=True, spread_s=spread_s))
        self.errands.turn()

    def statuses(self) -> list[str]:
        return [answer.status for answer in self.said]


def result() -> FrameResult:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    box = Detections(np.array([[10, 10, 50, 40]], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))
    return FrameResult(Frame(pixels, 0.0, 7, np.zeros((36, 64), np.uint8)), box, StageTimes(0.0, 0.0, 0.0, 0.0))


# ---- the rules


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        (Command("shell", "1", args={"line": "id"}), "rejected", "unsupported"),
        (Command("snapshot", "1", problem="it is no JSON"), "rejected", "bad-args"),
        (Command("snapshot", "1", spread_s=60.0), "rejected", "bad-args"),
        (Command("snapshot", "1", args={"size": 3}), "rejected", "bad-args"),
        (Command("loglevel", "1", args={}), "rejected", "bad-args"),
        (Command("loglevel", "1", args={"level": "trace"}), "rejected", "bad-args"),
        (Command("loglevel", "1", args={"level": "info", "for_s": 1e9}), "rejected", "bad-args"),
        (Command("diag", "1", args={"lines": -1}), "rejected", "bad-args"),
        (Command("snapshot", "1", expires_s=999.0), "expired", "expired"),
    ],
)
def test_what_cannot_be_done_is_answered_at_once(command: Command, status: str, code: str) -> None:
    desk = Desk()
    desk.commands.take(command)
    assert [(a.status, a.code, a.command) for a in desk.said] == [(status, code, command)]
    assert desk.said[0].message


@pytest.mark.parametrize(
    ("op", "args", "words"),
    [
        ("loglevel", {"level": "loud"}, "args: level: 'loud' is none of debug, error, info, warning"),
        ("loglevel", {"levl": "info"}, "args: unknown field 'levl'; did you mean 'level'?"),
        ("loglevel", {}, "args: 'level' is missing"),
        ("snapshot", {"size": 3}, "args: unknown field 'size'; known: none"),
        ("loglevel", {"level": "info", "for_s": "long"}, "args: for_s: expected number, got text"),
        ("bench", {"scenario": "quick"}, "args: scenario: 'quick' is none of "),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_by_name(op: str, args: dict[str, Any], words: str) -> None:
    desk = Desk()
    desk.commands.take(Command(op, "1", args=args))
    assert desk.said[0].message.startswith(words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"garbage", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b'{"exp": "soon"}', "exp: expected number, got text"),
        (b'{"expires": 5}', "unknown field 'expires'; did you mean 'exp'?"),
        (b'{"arg": {}}', "unknown field 'arg'; did you mean 'args'?"),
        (b"{}" + b" " * 20_000, "it has 20002 bytes; at most 16384 are read"),
        (b'{"args":' * 6000, "it has 48000 bytes; at most 16384 are read"),
        (b"[" * 16_000, "it is no JSON object"),
        (b'{"args":{"x":' + b"[" * 16_000, "it is nested too deep"),
    ],
)
def test_what_is_no_request_is_refused_with_its_own_reason(body: bytes, words: str) -> None:
    command = translate.command("edge/v1/home/cam1/cmd/restart/1", body)
    assert command is not None
    desk = Desk()
    desk.commands.take(command)
    assert [(a.status, a.code, a.message) for a in desk.said] == [("rejected", "bad-args", f"the request: {words}")]


def test_a_request_that_waited_past_its_time_is_not_begun() -> None:
    desk = Desk()
    desk.commands.take(Command("rebirth", "1", expires_s=desk.clock.wall() + 5))
    desk.clock.now_s += 6
    desk.errands.turn()
    assert desk.statuses() == ["expired"]
    assert not desk.births


def test_a_flood_is_answered_busy_and_not_stored() -> None:
    desk = Desk()
    for number in range(20):
        desk.commands.take(Command("snapshot", str(number)))
    assert [answer.code for answer in desk.said] == ["busy"] * 12
    desk.errands.turn()
    assert len(desk.said) == 20
    assert {answer.command.id for answer in desk.said} == {str(number) for number in range(20)}


def test_a_second_request_under_one_id_gets_the_same_answer_and_is_not_done_again() -> None:
    desk = Desk()
    first = desk.ask("rebirth")
    desk.clock.now_s += 100
    assert desk.ask("rebirth") == first
    assert len(desk.births) == 1
    desk.commands.take(Command("rebirth", "2"))
    desk.commands.take(Command("rebirth", "2"))
    desk.errands.turn()
    assert desk.statuses() == ["succeeded"] * 3, "one that waits is not answered twice"


def test_who_asks_again_while_the_last_reply_is_said_is_not_taken_for_waiting() -> None:
    desk = Desk()
    seen: list[bool] = []
    desk.commands._send = lambda answer: seen.append((answer.command.op, answer.command.id) in desk.commands._waiting)
    desk.commands.take(Command("diag", "1"))
    desk.errands.turn()
    assert seen == [False]


def test_a_picture_is_not_kept_for_a_second_asker() -> None:
    desk = Desk()
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    desk.snapshots.newest = FrameResult(
        Frame(noise, 0.0, 7, np.zeros((36, 64), np.uint8)), Detections.empty(), StageTimes(0.0, 0.0, 0.0, 0.0)
    )
    assert "jpeg" in desk.ask("snapshot").data
    again = desk.ask("snapshot")
    assert (again.status, again.data) == ("succeeded", {})
    assert "another id" in again.message


def test_a_fault_in_an_operation_is_answered_and_the_next_one_served() -> None:
    def broken(_: Command, __: Any) -> Answer:
        raise ZeroDivisionError

    desk = Desk(snapshot=broken)
    with pytest.raises(ZeroDivisionError):
        desk.ask("snapshot")
    assert (desk.said[-1].status, desk.said[-1].code) == ("failed", "bug")
    assert desk.ask("rebirth", "2").status == "succeeded"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_thread_outlives_a_fault() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    done: list[str] = []
    errands = Errands(lambda: 0.0)
    errands.start()
    errands.do(broken)
    errands.do(lambda: done.append("next"))
    assert wait_until(lambda: done == ["next"])
    errands.stop()


# ---- pictures for whoever shows the last one


class Album:
    """Pictures, what they sent, and who wants them."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.sent: list[bytes] = []
        self.is_wanted = True
        self.pictures = Pictures(
            self.desk.snapshots,
            self.desk.errands,
            send=self.sent.append,
            is_wanted=lambda: self.is_wanted,
            clock=self.desk.clock,
        )

    def wait(self, seconds: float) -> int:
        """How many pictures came in that time, with a new frame each second."""
        before = len(self.sent)
        for _ in range(round(seconds)):
            self.desk.snapshots.newest = result()
            self.desk.clock.now_s += 1.0
            self.desk.errands.turn()
        return len(self.sent) - before


def test_a_picture_that_a_command_made_is_sent_as_it_is() -> None:
    album = Album()
    album.desk.snapshots.newest = result()
    answer = album.desk.ask("snapshot")
    assert [base64.b64encode(jpeg).decode() for jpeg in album.sent] == [answer.data["jpeg"]]
    assert album.wait(100) == 0, "and no other, unless it is wanted so"


def test_pictures_come_as_often_as_is_wanted_from_now_on() -> None:
    album = Album()
    album.pictures.every(10.0)
    assert album.wait(100) == 10
    for _ in range(5):
        album.pictures.every(20.0)
    assert album.wait(100) == 5, "the former plan is over"
    album.pictures.every(0.0)
    assert album.wait(100) == 0
    album.pictures.every(10.0)
    assert album.wait(30) == 3
    assert all(jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9") for jpeg in album.sent)


def test_other_settings_that_change_do_not_put_a_picture_off() -> None:
    album = Album()
    album.pictures.every(10.0)
    count = 0
    for _ in range(20):
        count += album.wait(5)
        album.pictures.every(10.0)
    assert count == 10


def test_no_picture_is_drawn_for_nobody_nor_an_old_one_sent_as_new() -> None:
    album = Album()
    album.pictures.every(10.0)
    album.desk.clock.now_s += 10.0
    album.desk.errands.turn()
    assert not album.sent, "no frame yet"
    album.is_wanted = False
    assert album.wait(50) == 0
    album.is_wanted = True
    assert album.wait(10) == 1
    for _ in range(50):
        album.desk.clock.now_s += 1.0
        album.desk.errands.turn()
    assert len(album.sent) == 1, "the camera is down"


# ---- to a whole site


def test_a_request_to_all_waits_its_share_of_the_spread() -> None:
    desk = Desk()
    desk.ask_all("rebirth", "77", 600.0)
    assert not desk.said
    due_s = desk.clock.now_s + 600.0 * share("77", "cam1")
    desk.errands.turn(due_s - 0.1)
    assert not desk.said
    desk.errands.turn(due_s)
    assert desk.statuses() == ["succeeded"]


def test_a_request_to_all_that_comes_again_gets_the_same_answer_again() -> None:
    desk = Desk()
    for _ in range(2):
        desk.ask_all("rebirth", "77", 600.0)
        desk.clock.now_s += 601.0
        desk.errands.turn()
    assert desk.statuses() == ["succeeded", "succeeded"]
    assert len(desk.births) == 1


def test_a_flood_to_all_waits_within_bounds() -> None:
    desk = Desk()
    for number in range(MOST_SPREAD + 9):
        desk.ask_all("diag", str(number), 600.0)
    assert len(desk.errands._waiting) == MOST_SPREAD
    desk.clock.now_s += 601.0
    desk.errands.turn()
    assert len(desk.said) == MOST_SPREAD
    desk.ask_all("diag", "later", 600.0)
    assert len(desk.errands._waiting) == 1, "there is room again"


def test_a_command_whose_answer_is_yet_to_come_is_not_answered_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("restart", "9")
    assert desk.statuses() == ["accepted", "running"]
    desk.ask("restart", "9")
    assert desk.statuses() == ["accepted", "running"]
    assert len(desk.ended) == 1


def test_shares_are_even_and_always_the_same() -> None:
    shares = sorted(share("77", f"cam{number}") for number in range(1000))
    assert shares == sorted(share("77", f"cam{number}") for number in range(1000))
    assert all(abs(value - place / 1000) < 0.06 for place, value in enumerate(shares))


def test_a_request_to_all_without_spread_is_ignored() -> None:
    desk = Desk()
    desk.ask_all("rebirth", "1", None)
    desk.errands.turn(1e9)
    assert not desk.said
    assert not desk.births


@pytest.mark.parametrize(
    ("op", "spread_s", "code"),
    [("snapshot", 60.0, "not-to-all"), ("restart", 59.0, "bad-args"), ("shell", 60.0, "unsupported")],
)
def test_what_a_site_may_not_be_asked_is_refused_by_its_share(op: str, spread_s: float, code: str) -> None:
    desk = Desk()
    desk.ask_all(op, "1", spread_s)
    assert not desk.said, "not all boards at once"
    desk.errands.turn(desk.clock.now_s + spread_s)
    assert [answer.code for answer in desk.said] == [code]
    assert not desk.ended


# ---- the operations


def test_a_snapshot_is_the_newest_frame_with_its_boxes() -> None:
    desk = Desk()
    desk.snapshots.newest = result()
    answer = desk.ask("snapshot")
    assert (answer.status, answer.data["sees"], answer.data["sequence"]) == ("succeeded", "cat", 7)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(str(answer.data["jpeg"])), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (60, 80, 3)
    assert np.ptp(picture) > 50, "a box is drawn on the grey frame"


def test_before_the_first_frame_a_snapshot_fails_with_a_reason() -> None:
    answer = Desk().ask("snapshot")
    assert (answer.status, answer.code) == ("failed", "no-camera")


def test_the_picture_always_fits() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    data = encode(noise, JPEG_BYTES)
    assert len(data) <= JPEG_BYTES
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_birth_is_said_once_in_thirty_seconds() -> None:
    desk = Desk()
    codes = []
    for number in range(7):
        codes.append(desk.ask("rebirth", str(number)).code)
        desk.clock.now_s += 10
    assert codes == ["ok", "too-soon", "too-soon", "ok", "too-soon", "too-soon", "ok"]
    assert len(desk.births) == 3


def test_a_log_level_goes_back_by_itself_and_the_last_request_counts() -> None:
    desk = Desk()
    desk.ask("loglevel", "1", {"level": "debug", "for_s": 60})
    start_s = desk.clock.now_s
    desk.clock.now_s += 30
    desk.ask("loglevel", "2", {"level": "error", "for_s": 60})
    desk.errands.turn(start_s + 61)
    assert desk.levels == ["debug", "error"]
    desk.errands.turn(start_s + 91)
    assert desk.levels == ["debug", "error", "info"]


def test_diag_tells_without_secrets() -> None:
    tail = Tail()
    logger = logging.getLogger("diag-test")
    logger.addHandler(tail)
    logger.warning("camera rtsp://admin:hunter2@10.0.0.7/x failed; password: hunter2")
    facts: dict[str, Callable[[], object]] = {
        "config": lambda: {"mqtt": {"username": "hunter2", "host": "b"}, "camera": {"uri": "http://u:hunter2@h/"}},
        "sensors": lambda: {}["gone"],
    }
    answer = Diag(facts, tail)(Command("diag", "1"), operation.Diag())
    text = json.dumps(answer.data)
    assert "hunter2" not in text
    assert answer.data["config"]["mqtt"] == {"username": "***", "host": "b"}
    assert "cannot be told" in answer.data["sensors"]
    assert "camera rtsp://admin:***@10.0.0.7/x failed" in answer.data["log"][0]


def test_diag_always_fits_a_packet_and_keeps_the_newest_lines() -> None:
    tail = Tail()
    tail.lines.extend("\u00e9\u0001" * 300 + str(number) for number in range(200))
    ask = Command("diag", "1")
    answer = Diag({"config": lambda: {"x": "y" * 60_000}}, tail)(ask, operation.Diag(lines=200))
    assert answer.status == "succeeded"
    assert len(msgspec.json.encode(answer.data)) <= MOST_BYTES
    assert answer.data["log"][-1].endswith("199")
    big = Diag({"config": lambda: "y" * 200_000}, tail)(ask, operation.Diag())
    assert (big.status, big.code, big.data) == ("failed", "too-large", {})


def test_every_operation_is_offered_with_the_schema_that_judges_its_arguments() -> None:
    assert set(offered()) == set(Desk().commands._operations) == set(KINDS)
    for schema in offered().values():
        Draft202012Validator.check_schema(schema)
        assert schema["description"]
        assert not schema["additionalProperties"]
    loglevel = Draft202012Validator(offered()["loglevel"])
    assert loglevel.is_valid({"level": "debug"})
    assert not loglevel.is_valid({"level": "trace"})


# ---- over a crash


def test_a_restart_is_answered_by_the_next_start(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    first.ask("restart", "9")
    assert first.ended
    assert first.statuses() == ["accepted", "running"]
    second = Desk(tmp_path)
    second.commands.resume()
    assert [(a.status, a.command.op, a.command.id) for a in second.said] == [("succeeded", "restart", "9")]
    assert second.ask("restart", "9").status == "succeeded", "the broker brings it twice"
    assert not second.ended


def test_a_restart_that_cannot_be_remembered_is_answered_before() -> None:
    desk = Desk()
    answer = desk.ask("restart")
    assert (answer.status, answer.message) == ("succeeded", "ends now; whoever supervises it has to start it")
    assert desk.ended


class Killed(BaseException):
    """As by kill -9: nothing after it is done."""


def test_what_a_crash_interrupts_is_finished_as_failed(tmp_path: Path) -> None:
    def killed(_: Command, __: Any) -> Answer:
        first.ledger.close()  # nothing reaches the disk any more
        raise Killed

    first = Desk(tmp_path, loglevel=killed)
    with pytest.raises(Killed):
        first.ask("loglevel", "5", {"level": "debug"})
    second = Desk(tmp_path)
    second.commands.resume()
    assert [(a.status, a.code, a.command.id) for a in second.said] == [("failed", "interrupted", "5")]
    third = Desk(tmp_path)
    third.commands.resume()
    assert third.said == second.said, "the broker never acknowledged it: said again"
    third.commands.delivered("loglevel", "5")
    fourth = Desk(tmp_path)
    fourth.commands.resume()
    assert not fourth.said


def test_only_the_last_reply_that_arrived_closes_the_matter(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    first.ask("restart", "9")
    second = Desk(tmp_path)
    second.commands.resume()
    second.ledger.sent(("restart", "9"))  # as if two replies were on their way
    second.commands.delivered("restart", "9")
    assert Ledger(tmp_path, second.clock.wall).take_undelivered()
    second.commands.delivered("restart", "9")
    assert not Ledger(tmp_path, second.clock.wall).take_undelivered()


@pytest.mark.parametrize("rubbish", [b"", b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(rubbish)
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    assert desk.ledger.is_lasting
    assert Desk(tmp_path).ledger.find(("loglevel", "1")) is not None
    assert not rubbish or (tmp_path / f"{FILE_NAME}.corrupt-1").read_bytes() == rubbish


def test_a_forged_row_is_moved_aside(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    desk.ledger.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        file.execute("UPDATE commands SET status = 'sideways', data = '{'")
    second = Desk(tmp_path)
    assert second.ledger.find(("loglevel", "1")) is None
    assert second.ledger.is_lasting
    assert (tmp_path / f"{FILE_NAME}.corrupt-1").exists()


def test_a_row_is_written_once(tmp_path: Path) -> None:
    desk, written = Desk(tmp_path), list[int]()
    rows = desk.ledger._disk._store
    assert rows is not None
    put = rows.put
    rows.put = lambda fresh: written.append(len(fresh)) or put(fresh)  # type: ignore[method-assign,func-returns-value]
    for name in "123":
        desk.ask("loglevel", name, {"level": "debug"})
    assert written == [1] * 6, "accepted, and the outcome"
    assert not desk.ledger.is_behind


def test_a_file_that_another_process_holds_is_left_alone(tmp_path: Path) -> None:
    Desk(tmp_path).ask("loglevel", "1", {"level": "debug"})
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("BEGIN EXCLUSIVE")
        desk = Desk(tmp_path)
        assert not desk.ledger.is_lasting
        assert desk.ask("loglevel", "2", {"level": "debug"}).status == "succeeded"
    assert not list(tmp_path.glob("*.corrupt*"))
    assert Desk(tmp_path).ledger.find(("loglevel", "1")) is not None


def test_without_a_writable_folder_it_works_in_memory(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    desk = Desk(tmp_path)
    assert not desk.ledger.is_lasting or desk.ask("loglevel", "1", {"level": "debug"}).status == "succeeded"
    assert desk.ask("rebirth", "2").status == "succeeded"
    assert desk.ask("rebirth", "2").status == "succeeded"


def stumble(desk: Desk, pragma: str) -> None:
    """The disk takes nothing from now on, or again."""
    rows = desk.ledger._disk._store
    assert rows is not None
    rows._open_db().execute(f"PRAGMA query_only = {pragma}").fetchall()


def test_what_a_disk_refused_is_saved_when_it_is_well_again_though_nobody_asks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    stumble(desk, "ON")
    for name in ("2", "3"):
        assert desk.ask("loglevel", name, {"level": "debug"}).status == "succeeded"
    assert not desk.ledger.is_lasting
    assert desk.ask("restart", "4").status == "succeeded", "the next start would not know of it"
    stumble(desk, "OFF")
    assert Desk(tmp_path).ledger.find(("loglevel", "2")) is None
    desk.errands.turn(desk.clock.now_s + 61.0)
    assert desk.ledger.is_lasting
    after = Desk(tmp_path).ledger
    assert [after.find(("loglevel", name)) is not None for name in "123"] == [True] * 3
    assert caplog.text.count("cannot save what became of commands") == 1
    desk.ask("restart", "5")
    assert desk.statuses()[-2:] == ["accepted", "running"], "the rest is said by the next start"


def test_what_the_broker_got_while_the_disk_refused_is_not_said_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    stumble(desk, "ON")
    desk.commands.delivered("loglevel", "1")
    stumble(desk, "OFF")
    desk.clock.now_s += 61.0
    desk.ledger.save()
    assert not Ledger(tmp_path, desk.clock.wall).take_undelivered()


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_that_is_taken_away_under_way_is_written_anew(tmp_path: Path, is_replaced: bool) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        path.unlink()
    if is_replaced:
        Desk(tmp_path).ledger.close()
    assert desk.ask("loglevel", "2", {"level": "debug"}).status == "succeeded"
    assert not desk.ledger.is_lasting
    desk.errands.turn(desk.clock.now_s + 61.0)
    after = Desk(tmp_path).ledger
    assert [after.find(("loglevel", name)) is not None for name in "12"] == [True] * 2


def test_a_file_that_breaks_under_way_is_moved_aside_and_written_anew(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "1", {"level": "debug"})
    rows = desk.ledger._disk._store
    assert rows is not None
    put = rows.put

    def malformed(_rows: object) -> int:
        rows.put = put  # type: ignore[method-assign]
        raise sqlite3.DatabaseError("database disk image is malformed")

    rows.put = malformed  # type: ignore[method-assign]
    desk.ask("loglevel", "2", {"level": "debug"})
    assert desk.ledger.is_lasting
    assert (tmp_path / f"{FILE_NAME}.corrupt-1").exists()
    after = Desk(tmp_path).ledger
    assert [after.find(("loglevel", name)) is not None for name in "12"] == [True] * 2


def test_a_promise_that_only_the_disk_knew_is_kept_once_it_can_be_read(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    first.ask("restart", "1")
    first.ask("loglevel", "2", {"level": "debug"})
    first.ledger.close()
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    (tmp_path / FILE_NAME).mkdir()
    second = Desk(tmp_path)
    second.commands.resume()
    assert not second.said
    second.ask("loglevel", "3", {"level": "debug"})
    (tmp_path / FILE_NAME).rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / FILE_NAME)
    second.errands.turn(second.clock.now_s + 61.0)
    told = {(answer.command.id, answer.status) for answer in second.said}
    assert told == {("1", "succeeded"), ("2", "succeeded"), ("3", "succeeded")}
    assert len(second.said) == 3, "each once"
    second.errands.turn(second.clock.now_s + 600.0)
    assert len(second.said) == 3
    assert Desk(tmp_path).ledger.find(("loglevel", "3")) is not None


def test_what_came_before_the_file_could_be_read_is_the_newer(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    first.ask("loglevel", "1", {"level": "debug"})
    first.ledger.close()
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    (tmp_path / FILE_NAME).mkdir()
    second = Desk(tmp_path)
    second.ask("loglevel", "1", {"level": "never"})
    (tmp_path / FILE_NAME).rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / FILE_NAME)
    second.clock.now_s += 61.0
    assert second.ledger.save()
    found = second.ledger.find(("loglevel", "1"))
    assert found is not None
    assert found.status == "rejected"


def test_a_ledger_that_was_closed_writes_no_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ledger.close()
    desk.ask("loglevel", "1", {"level": "debug"})
    assert not desk.ledger.is_lasting
    assert not desk.ledger.is_behind
    assert Desk(tmp_path).ledger.find(("loglevel", "1")) is None


def test_rows_are_bounded_in_memory_and_on_disk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(MOST_ROWS + 40):
        desk.clock.now_s += 1
        desk.ask("loglevel", str(number), {"level": "debug"})
    assert len(desk.ledger._rows) == MOST_ROWS
    assert len(desk.ledger._kept) == MOST_ROWS
    assert len(Desk(tmp_path).ledger._rows) == MOST_ROWS


def test_old_rows_go_but_never_an_open_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("loglevel", "old", {"level": "debug"})
    desk.ask("restart", "open")
    desk.ledger.close()
    later = Ledger(tmp_path, lambda: desk.clock.wall() + 30 * 86400)
    assert later.find(("loglevel", "old")) is None
    assert [answer.command.id for answer in later.left_open()] == ["open"]


def test_a_stream_of_looks_does_not_wear_the_disk_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(500):
        desk.clock.now_s += 0.25
        desk.ask("snapshot", str(number))
    kept = sum(desk.ledger.is_kept(("snapshot", str(number))) for number in range(500))
    assert kept <= 25
    assert set(desk.statuses()) == {"failed"}
    assert len(desk.said) == 500


def test_a_budget_fills_again() -> None:
    clock = Clock()
    budget = Budget(clock, most=2, each_s=10.0)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now_s += 10
    assert [budget.take() for _ in range(2)] == [True, False]


names = st.text("ab1-", min_size=1, max_size=3)
requests = st.tuples(st.sampled_from([*KINDS, "shell"]), names, st.sampled_from([{}, {"level": "debug"}, None]))


@given(st.lists(st.tuples(requests, st.booleans()), max_size=30))
def test_every_request_gets_one_outcome_whatever_is_repeated(asked: list[tuple[Any, bool]]) -> None:
    desk = Desk()
    for (op, name, args), turns in asked:
        desk.commands.take(Command(op, name, args=args))
        if turns:
            desk.errands.turn()
            desk.main_thread()
    desk.errands.turn()
    desk.main_thread()
    outcomes: dict[tuple[str, str], set[str]] = {}
    for answer in desk.said:
        if answer.status in FINAL:
            outcomes.setdefault((answer.command.op, answer.command.id), set()).add(f"{answer.status} {answer.code}")
    assert set(outcomes) == {(op, name) for (op, name, _), _ in asked}
    assert all(len(said) == 1 for said in outcomes.values())


def test_what_was_said_last_of_a_command_is_forgotten_last() -> None:
    ledger = Ledger(None, lambda: 1000.0)
    old = Command("restart", "old")
    ledger.remember(Answer(old, "accepted"))
    for number in range(MOST_ROWS - 1):
        ledger.remember(Answer(Command("diag", str(number)), "succeeded"))
    ledger.remember(Answer(old, "succeeded"))
    ledger.remember(Answer(Command("diag", "one-more"), "succeeded"))
    found = ledger.find(("restart", "old"))
    assert found is not None
    assert found.status == "succeeded"
    assert ledger.find(("diag", "0")) is None


def test_a_level_set_from_elsewhere_waits_for_the_end_of_the_one_that_was_asked_for() -> None:
    desk = Desk()
    levels = LogLevels("info", desk.levels.append, desk.errands, desk.clock)
    levels(Command("loglevel", "1"), operation.LogLevel(level="debug", for_s=60.0))
    levels.set("warning")
    assert desk.levels == ["debug"]
    desk.clock.now_s += 61.0
    desk.errands.turn()
    assert desk.levels == ["debug", "warning"]
    levels.set("error")
    assert desk.levels[-1] == "error"


def test_a_budget_that_was_not_used_does_not_pile_up() -> None:
    clock = Clock()
    budget = Budget(clock, most=3, each_s=10.0)
    clock.now_s += 1e6
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    clock.now_s += 10.0
    assert [budget.take(), budget.take()] == [True, False]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (None, "succeeded", "ok"),
        (ConfigError("no"), "rejected", "off"),
        (UnavailableError("no"), "rejected", "corrected"),
        (StorageError("no"), "failed", "disk"),
    ],
)
def test_relearn_says_what_became_of_it(fault: AgentError | None, status: str, code: str) -> None:
    desk = Desk()
    desk.fault = fault
    answer = desk.ask("relearn")
    assert (answer.status, answer.code, answer.message) == (status, code, "no" if fault else "learns")
    assert desk.ask("relearn", "2", {"light": True}).code == "bad-args"
    desk.ask_all("relearn", "3", 60.0)
    desk.errands.turn(1e9)
    assert desk.said[-1].code == "not-to-all"
