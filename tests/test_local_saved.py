"""What ``ask`` waits for, and what it writes to a file."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from agent.cli import local, saved
from agent.errors import StorageError, UnavailableError
from agent.local import Asked, ask
from agent.local.wire import Reply
from agent.records import Answer, Command
from tests.test_local import Board

RESULT = json.dumps({"windows": list(range(5000))}).encode()


def parts(size: int) -> list[Reply]:
    packed = zlib.compress(RESULT)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    return [
        Reply(
            status="succeeded",
            op="bench-result",
            data={"name": "r", "part": n, "parts": len(pieces), "zlib": base64.b64encode(piece).decode()},
        )
        for n, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("begun", [0, 1])
def test_a_result_is_written_whole_whichever_part_came_first(begun: int, tmp_path: Path) -> None:
    told = parts(3000)
    assert len(told) > 2
    saved.save(tmp_path / "r.json", told[begun], told.__getitem__)
    assert (tmp_path / "r.json").read_bytes() == RESULT


def test_a_part_that_is_refused_or_damaged_and_a_full_disk_are_one_line(tmp_path: Path) -> None:
    first = parts(3000)[0]
    with pytest.raises(UnavailableError, match=r"part 1 of \d+: gone"):
        saved.save(tmp_path / "r.json", first, lambda _: Reply(status="failed", message="gone"))
    with pytest.raises(UnavailableError, match="damaged"):
        saved.save(tmp_path / "r.json", first, lambda _: first)
    with pytest.raises(StorageError, match="cannot be written"):
        saved.save(tmp_path / "no" / "r.json", parts(10**6)[0], parts(10**6).__getitem__)
    assert not (tmp_path / "r.json").exists()


def test_a_terminal_is_not_flooded_and_a_program_gets_everything() -> None:
    reply = Reply(status="succeeded", op="snapshot", data={"jpeg": "A" * 40_000, "width": 4})
    assert "40000 characters; --save FILE" in saved.shown(reply, None, is_terminal=True)["data"]["jpeg"]
    assert saved.shown(reply, None, is_terminal=False)["data"] == reply.data
    assert saved.shown(reply, Path("a.jpg"), is_terminal=True)["data"] == {"jpeg": "a.jpg", "width": 4}


@pytest.mark.parametrize(
    ("op", "args", "least_s"),
    [
        ("bench", {}, 62.0),
        ("bench", {"seconds": 600.0}, 602.0),
        ("bench", {"soak": True, "minutes": 10.0}, 602.0),
        ("bench", {"seconds": "x"}, None),
        ("diag", {}, None),
    ],
)
def test_how_long_is_waited_follows_from_what_is_asked(op: str, args: dict[str, Any], least_s: float | None) -> None:
    wanted = local.USUAL_S if least_s is None else least_s + local.GRACE_S
    assert local._patience_s(Asked(op, "1", args)) == wanted


def held(tmp_path: Path, left_s: float) -> Board:
    """A board on which a benchmark says how long it has, and never ends by itself."""
    board = Board(tmp_path)

    def take(command: Command) -> None:
        board.local.answer(Answer(command, "accepted"))
        board.local.answer(Answer(command, "running", data={"percent": 10, "left_s": left_s}))

    board.local._take = take
    board.local.start()
    return board


def test_every_reply_of_a_benchmark_is_shown_and_giving_up_says_that_it_goes_on(tmp_path: Path) -> None:
    board = held(tmp_path, 100.0)
    told: list[tuple[str, Any]] = []

    def listen() -> None:
        for reply in local._replies([tmp_path], Asked("bench", "1", {}), 0.3):
            told.append((reply.status, reply.data.get("percent")))  # noqa: PERF401 (it ends by an error)

    try:
        with pytest.raises(UnavailableError, match="it goes on: later `edge-agent ask bench-result"):
            listen()
    finally:
        board.local.stop()
    assert told == [("accepted", None), ("running", 10)]


def test_what_is_left_moves_the_end(tmp_path: Path) -> None:
    board, now = held(tmp_path, 100.0), [0.0]
    seen = []
    try:
        replies = ask([tmp_path], Asked("bench", "1", {}), timeout_s=5.0, grace_s=50.0, clock=lambda: now[0])
        for reply in replies:
            seen.append(reply.status)
            if reply.status == "running":
                now[0] = 120.0  # beyond the first end, before the second
                board.local.answer(Answer(Command("bench", "1"), "succeeded"))
    finally:
        board.local.stop()
    assert seen == ["accepted", "running", "succeeded"]
