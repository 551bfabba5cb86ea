"""The local socket: the same commands as over MQTT, nothing for strangers, and nothing to gain by being hostile."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.commands import KINDS
from agent.config import Config, override
from agent.desired import Overlay
from agent.errors import UnavailableError
from agent.local import Asked, Local, ask, candidates, lines, place, wire
from agent.local.peer import Peer, may_command, peer_of
from agent.local.server import MOST_A_SECOND, MOST_CONNECTIONS, PATIENCE_S
from agent.records import Answer, Command, Labels
from agent.remote import Remote
from agent.status import tell
from tests.publish_fakes import Clock
from tests.servers.mosquitto import wait_until

STATUS = {"state": "online", "fps": 12.5}


class Board:
    """A local socket whose commands are answered at once, unless ``held``."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.clock = Clock()
        self.taken: list[Command] = []
        self.held = False
        self.status: dict[str, Any] = dict(STATUS)
        self.local = Local(folder, take=self.take, status=lambda: self.status, clock=self.clock, **more)
        self.folder = folder

    def take(self, command: Command) -> None:
        self.taken.append(command)
        if not self.held:
            self.local.answer(Answer(command, "accepted"))
            self.local.answer(Answer(command, "succeeded", data={"n": len(self.taken)}))

    def ask(self, op: str, args: dict[str, Any] | None = None, name: str = "1") -> list[wire.Reply]:
        return list(ask([self.folder], Asked(op, name, args or {}), timeout_s=10.0))

    def connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(10.0)
        with place.address(self.folder) as address:
            link.connect(address)
        return link

    @property
    def connections(self) -> int:
        return len(self.local._connections)

    def later(self, seconds: float) -> None:
        """Time passes, and the thread looks around."""
        self.clock.now_s += seconds
        self.local._wake()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path)
    board.local.start()
    yield board
    assert board.local._thread is not None
    assert board.local._thread.is_alive(), "whatever came, the thread lives"
    board.local.stop()


def said(link: socket.socket) -> bytes:
    """Everything until the agent hangs up."""
    found = bytearray()
    try:
        while data := link.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return bytes(found)


# ---- what it is for


def test_status_is_told(board: Board) -> None:
    (reply,) = board.ask("status")
    assert (reply.status, reply.op, reply.ref, reply.data) == ("succeeded", "status", "1", STATUS)
    assert not board.taken, "it only looks"


def test_a_command_is_taken_as_over_mqtt_and_every_reply_comes_back(board: Board) -> None:
    replies = board.ask("diag", {"lines": 5}, "abc")
    assert [reply.status for reply in replies] == ["accepted", "succeeded"]
    assert replies[-1].data == {"n": 1}
    assert board.taken == [Command("diag", "abc", args={"lines": 5}, is_local=True)]


def test_a_request_without_a_name_is_given_one(board: Board) -> None:
    with board.connect() as link:
        link.sendall(b'{"op": "diag", "exp": 12.5}\n')
        assert b"accepted" in link.recv(4096)
    assert board.taken[0].id.startswith("local-")
    assert board.taken[0].expires_s == 12.5


def test_several_lines_at_once_are_served_one_after_the_other(board: Board) -> None:
    with board.connect() as link:
        link.sendall(b'{"op":"diag","id":"1"}\n{"op":"status","id":"2"}\n{"op":"diag","id":"3"}\n')
        link.shutdown(socket.SHUT_WR)  # as `socat` does at the end of its input
        found = [json.loads(line) for line in said(link).splitlines()]
    assert [(reply["ref"], reply["status"]) for reply in found] == [
        ("1", "accepted"),
        ("1", "succeeded"),
        ("2", "succeeded"),
        ("3", "accepted"),
        ("3", "succeeded"),
    ]


def test_who_asks_for_what_runs_already_hears_of_its_end(board: Board) -> None:
    board.held = True
    with board.connect() as one, board.connect() as other:
        for link in (one, other):
            link.sendall(b'{"op":"diag","id":"same"}\n')
        assert wait_until(lambda: len(board.taken) == 2)
        board.local.answer(Answer(board.taken[0], "succeeded"))
        assert b"succeeded" in one.recv(4096)
        assert b"succeeded" in other.recv(4096)


def test_one_request_at_a_time_on_each_connection(board: Board) -> None:
    board.held = True
    with board.connect() as link:
        link.sendall(b'{"op":"diag","id":"1"}\n{"op":"diag","id":"2"}\n')
        assert wait_until(lambda: len(board.taken) == 1)
        assert board.ask("status")[0].status == "succeeded", "the thread has been round, and others are served"
        assert len(board.taken) == 1
        board.local.answer(Answer(board.taken[0], "succeeded"))
        assert wait_until(lambda: len(board.taken) == 2)


def test_a_reply_larger_than_the_sockets_buffer_arrives_whole(board: Board) -> None:
    board.status = {"text": "x" * 400_000}
    assert board.ask("status")[0].data == board.status


def test_an_answer_that_nobody_waits_for_goes_nowhere(board: Board) -> None:
    board.local.answer(Answer(Command("diag", "9"), "succeeded"))
    assert board.ask("status")[0].status == "succeeded"


# ---- its place


def test_it_is_for_its_user_alone_or_for_the_services_group(tmp_path: Path) -> None:
    for group, mode in ((False, 0o600), (True, 0o660)):
        board = Board(tmp_path, group=group)
        board.local.start()
        assert (tmp_path / place.NAME).stat().st_mode & 0o777 == mode
        board.local.stop()
        assert not (tmp_path / place.NAME).exists()


def test_the_socket_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / place.NAME))
    left.close()
    (tmp_path / f"{place.NAME}.new").touch()
    (tmp_path / place.LOCK).write_text("123\n")
    board = Board(tmp_path)
    with pytest.raises(UnavailableError, match="no agent found"):
        board.ask("status")
    board.local.start()
    assert board.ask("status")[0].data == STATUS
    board.local.stop()


def test_a_second_agent_on_the_same_state_is_refused_with_the_first_ones_number(board: Board) -> None:
    second = Board(board.folder)
    with pytest.raises(UnavailableError, match=rf"another agent \(process {os.getpid()}\).*state_dir of its own"):
        second.local.start()
    second.local.stop()
    assert board.ask("status")[0].data == STATUS, "the first one serves on"


def test_one_state_has_one_agent_wherever_it_listens(board: Board, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UnavailableError, match="another agent"):
        Board(tmp_path / "run", state=board.folder).local.start()
    elsewhere = Board(tmp_path / "run")
    elsewhere.local.start()
    assert elsewhere.ask("status")[0].data == STATUS
    elsewhere.local.stop()


def test_a_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120) / ("e" * 120)
    folder.mkdir(parents=True)
    board = Board(folder)
    board.local.start()
    assert board.ask("status")[0].data == STATUS
    board.local.stop()


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Board(tmp_path / "none").local.start()
    (tmp_path / place.NAME).mkdir()
    board = Board(tmp_path)
    with pytest.raises(OSError, match="directory"):
        board.local.start()
    (tmp_path / place.NAME).rmdir()
    board.local.start()
    board.local.stop()


def test_where_a_person_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/here:/run/there")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert place.folder_of(Path("/state")) == Path("/run/here")
    assert candidates("/named")[:2] == [Path("/named"), Path("/run/here")]
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert place.folder_of(Path("/state")) == Path("/state")
    assert place.folder_of(None) is None
    assert candidates("")[0] == place.SYSTEM
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/x")
    assert candidates("")[0] == Path("/var/lib/x")


def test_the_client_says_what_it_met(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / place.NAME))
    listener.listen()

    def answer() -> None:
        link, _ = listener.accept()
        link.recv(100)
        link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        link.close()

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(UnavailableError, match="is no agent"):
        list(ask([tmp_path], Asked("status", "1", {}), timeout_s=5.0))
    thread.join()
    with pytest.raises(UnavailableError, match=r"did not finish within 0\.\d+ s"):
        list(ask([tmp_path], Asked("status", "1", {}), timeout_s=0.05))
    listener.close()


# ---- who may


def test_the_kernel_says_who_is_there() -> None:
    one, other = socket.socketpair()
    peer = peer_of(one)
    assert (peer.pid, peer.uid) == (os.getpid(), os.geteuid())
    assert os.getegid() in peer.groups
    one.close()
    other.close()


@pytest.mark.parametrize(
    ("peer", "group", "allowed"),
    [
        (Peer(1, 0, frozenset()), False, True),
        (Peer(1, os.geteuid(), frozenset()), False, True),
        (Peer(1, 54321, frozenset({os.getegid()})), False, False),
        (Peer(1, 54321, frozenset({os.getegid()})), True, True),
        (Peer(1, 54321, frozenset({54322})), True, False),
    ],
)
def test_root_its_own_user_and_its_group_may(peer: Peer, group: bool, allowed: bool) -> None:
    assert may_command(peer, group=group) is allowed


def test_a_stranger_is_refused(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.local.server.peer_of", lambda _: Peer(7, 54321, frozenset()))
    (reply,) = board.ask("status")
    assert (reply.status, reply.code) == ("rejected", "forbidden")
    (reply,) = board.ask("restart")
    assert (reply.status, reply.code) == ("rejected", "forbidden")
    assert not board.taken


# ---- hostile clients


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"status"',
        b"\xff\xfe",
        b'{"op": 3}',
        b'{"op": "../restart"}',
        b'{"op": "restart\\u0000"}',
        b'{"op": "diag", "args": []}',
        b'{"op": "diag", "id": "A B"}',
        b'{"op": "diag", "to_all": true}',
        b'{"op": "diag", "is_local": false}',
        b'{"op": "diag", "exp": "soon"}',
        b"[" * 15_000,
        b'{"args":' * 1500 + b"{}" + b"}" * 1500,
    ],
)
def test_what_is_no_request_is_refused_and_the_line_cut(board: Board, line: bytes) -> None:
    with board.connect() as link:
        link.sendall(line + b"\n")
        reply = json.loads(said(link))
    assert (reply["status"], reply["code"]) == ("rejected", "bad-request")
    assert not board.taken


def test_ten_megabytes_without_an_end_are_not_kept(board: Board) -> None:
    with board.connect() as link:
        try:
            for _ in range(640):
                link.sendall(b"x" * 16384)
            pytest.fail("it was all taken")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert b"too-large" in said(link)
    assert wait_until(lambda: board.connections == 0)


def test_a_whole_line_has_its_bound_too(board: Board) -> None:
    with board.connect() as link:
        link.sendall(b'{"op":"diag","args":{"x":"' + b"x" * wire.MOST_LINE_BYTES + b'"}}\n')
        assert json.loads(said(link))["code"] == "too-large"
    assert not board.taken


def test_half_a_line_is_waited_for_only_so_long(board: Board) -> None:
    with board.connect() as link:
        link.sendall(b'{"op": "sta')
        assert wait_until(lambda: board.connections == 1)
        board.later(PATIENCE_S - 1)
        assert board.ask("status")[0].status == "succeeded"
        assert board.connections >= 1
        board.later(2)
        assert said(link) == b""
    assert wait_until(lambda: board.connections == 0)


def test_who_never_takes_the_replies_is_cut_off_and_holds_nobody_up(board: Board) -> None:
    board.status = {"text": "x" * 400_000}
    with board.connect() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.sendall(b'{"op":"status","id":"1"}\n' * 40)
        assert wait_until(lambda: any(one.due for one in list(board.local._connections.values())))
        (held,) = list(board.local._connections.values())
        assert len(held.due) < 500_000, "one reply at a time"
        board.status = dict(STATUS)
        assert board.ask("status")[0].data == STATUS
        board.later(PATIENCE_S + 1)
        assert wait_until(lambda: board.connections == 0)


def test_a_hundred_connections_are_too_many_and_those_that_are_open_work(board: Board) -> None:
    links: list[socket.socket] = []
    try:
        links += [board.connect() for _ in range(MOST_CONNECTIONS)]
        assert wait_until(lambda: board.connections == MOST_CONNECTIONS)
        for _ in range(MOST_A_SECOND - MOST_CONNECTIONS - 2):
            with board.connect() as more:
                assert b"busy" in said(more)
        links[0].sendall(b'{"op":"status"}\n')
        assert b"succeeded" in links[0].recv(4096)
    finally:
        for link in links:
            link.close()
    assert wait_until(lambda: board.connections == 0)


def test_only_so_many_are_served_in_a_second(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.local._over.set()  # so that nothing is slept through
    assert [board.local._has_budget() for _ in range(MOST_A_SECOND + 3)] == [True] * MOST_A_SECOND + [False] * 3
    board.clock.now_s += 1.0
    assert board.local._has_budget()
    board.clock.now_s -= 100.0
    assert board.local._has_budget(), "a clock that went back is a new second"


def test_a_client_that_is_gone_before_its_answer_costs_nothing(board: Board) -> None:
    board.held = True
    with board.connect() as link:
        link.sendall(b'{"op":"diag","id":"1"}\n')
        assert wait_until(lambda: len(board.taken) == 1)
    board.local.answer(Answer(board.taken[0], "succeeded", data={"text": "x" * 300_000}))
    assert board.ask("status")[0].status == "succeeded"
    assert wait_until(lambda: board.connections == 0)


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
ops = st.sampled_from([*KINDS, "status", "shell", "../restart", "RESTART", "restart\0", ""])
requests = st.dictionaries(st.sampled_from(["op", "id", "exp", "args", "spread_s"]), st.one_of(ops, values), max_size=4)
said_lines = st.one_of(st.binary(max_size=80), requests.map(lambda value: json.dumps(value).encode()))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(said_lines, max_size=4), st.booleans())
def test_whatever_is_said_is_answered_or_cut_and_never_more_than_a_command(
    board: Board, spoken: list[bytes], ended: bool
) -> None:
    board.clock.now_s += 2.0  # another second's budget
    board.taken.clear()
    with board.connect() as link:
        link.sendall(b"\n".join(spoken) + (b"\n" if ended else b""))
        link.shutdown(socket.SHUT_WR)
        replies = [json.loads(line) for line in said(link).splitlines()]
    assert all(reply["status"] in wire.FINAL | {"accepted"} for reply in replies)
    for command in board.taken:
        assert command.is_local
        assert not command.to_all
        assert isinstance(command.args, dict)
        assert any(reply["ref"] == command.id and reply["status"] == "succeeded" for reply in replies)


# ---- beside MQTT


class Broker:
    def __init__(self) -> None:
        self.said: list[Answer] = []

    def answer(self, answer: Answer) -> None:
        self.said.append(answer)

    def reported(self, _: object) -> None: ...


def remote(folder: Path | None, host: str) -> Remote:
    config = override(Config(), {"mqtt.host": host} if host else {})
    clock = Clock()
    return Remote(
        config,
        Labels({0: "cat"}),
        device="cam1",
        folder=folder,
        facts={},
        say_birth=lambda: None,
        overlay=Overlay(config, None),
        clock=clock,
        wall=clock.wall,
        relearn=str,
    )


def test_what_is_asked_here_is_answered_here_and_what_is_asked_there_is_answered_there(tmp_path: Path) -> None:
    here, broker, level = remote(tmp_path, "broker"), Broker(), logging.getLogger().level
    board = Board(tmp_path)
    board.local = Local(tmp_path, take=here.commands.take, status=dict, clock=board.clock)
    board.local.start()
    here.local = board.local
    here.start(broker, lambda _: None)  # type: ignore[arg-type]
    try:
        assert [reply.status for reply in board.ask("loglevel", {"level": "info", "for_s": 1.0}, "one")] == [
            "succeeded"
        ]
        assert not broker.said
        here.commands.take(Command("loglevel", "one", args={"level": "info"}))
        assert [(answer.status, answer.command.is_local) for answer in broker.said] == [("succeeded", False)]
        assert board.ask("loglevel", {"level": "debug"}, "one")[-1].message == "info for 1 s, then info", (
            "not done again"
        )
    finally:
        board.local.stop()
        here.stop()
        here.close()
        logging.getLogger().setLevel(level)
    assert remote(tmp_path, "broker")._ledger.take_undelivered() == [], "it has been said"


def test_the_desk_works_without_a_broker_and_offers_no_birth() -> None:
    here = remote(None, "")
    answers: list[Answer] = []
    here.local = type("Ear", (), {"answer": staticmethod(answers.append)})()  # type: ignore[assignment]
    here.start(None, lambda _: None)
    try:
        here.commands.take(Command("diag", "1", is_local=True))
        assert wait_until(lambda: [answer.status for answer in answers] == ["succeeded"])
        here.commands.take(Command("rebirth", "2", is_local=True))
        assert (answers[-1].status, answers[-1].code) == ("rejected", "unsupported")
    finally:
        here.stop()
        here.close()


# ---- what a person sees


def test_the_status_is_shown_in_plain_lines() -> None:
    told = {
        "state": "degraded",
        "uptime_s": 61.2,
        "site": "home",
        "device": "cam1",
        "agent": "0.1.0",
        "model": {"name": "coco-ssd", "version": "1.0"},
        "runtime": {"backend": "litert", "version": "2.3.0"},
        "camera": {"state": "black", "reason": "lens covered", "dropped_total": 4},
        "blind_s": 12.0,
        "fps": 11.25,
        "stages": {"total": {"p50_s": 0.05, "p99_s": 0.0612}, "age": {"p50_s": 0.07, "p99_s": 0.1}},
        "thermal": {"soc_celsius": 81.26, "frequency_hz": 1.2e9, "throttled": True},
        "process": {"rss_bytes": 130 * 2**20},
        "pace": {"text": "takes at most 9.0 frames a second"},
        "mqtt": {"connected": False, "reason": "refused", "queue_rows": 7},
        "failed": {"apex": "I/O error"},
    }
    assert lines(told) == [
        "state    degraded, for 61 s",
        "board    home/cam1, edge-agent 0.1.0",
        "model    coco-ssd 1.0 on litert 2.3.0",
        "camera   black, lens covered, 4 frames dropped, blind for 12 s",
        "frames   11.2 a second; total p50 50.0 ms, p99 61.2 ms; age p50 70.0 ms, p99 100.0 ms",
        "heat     SoC 81.3 C, 1200 MHz, THROTTLED",
        "pace     takes at most 9.0 frames a second",
        "memory   130 MiB",
        "broker   not connected, refused, 7 messages wait",
        "sensor apex I/O error",
    ]


def test_while_a_benchmark_runs_the_status_says_that_no_frame_is_answered() -> None:
    told = {"state": "updating", "absence": "a benchmark runs", "camera": {"state": "streaming"}, "stages": {}}
    shown = lines(told)
    assert "state    updating" in shown
    assert "camera   not looked at" in shown
    assert "frames   none are answered: a benchmark runs" in shown


def test_the_state_while_a_benchmark_runs_is_what_the_broker_hears() -> None:
    unknown: Any = None
    who: dict[str, Any] = {"version": "1", "device": "d", "site": "s", "model": unknown, "runtime": unknown}
    told = tell(**who, health=None, mqtt=None, absence="a benchmark runs")
    assert (told["state"], told["absence"]) == ("updating", "a benchmark runs")
    assert "absence" not in tell(**who, health=None, mqtt=None)


@given(st.dictionaries(st.sampled_from(["uptime_s", "camera", "fps", "stages", "thermal", "mqtt", "pace"]), values))
def test_whatever_another_version_says_is_shown_somehow(told: dict[str, Any]) -> None:
    assert all(isinstance(line, str) for line in lines(told))
