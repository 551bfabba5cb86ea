"""What became of commands on a disk that is full, read-only or gone, for real: told at once, kept later."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.commands.ledger import FILE_NAME
from tests.servers.volume import Volumes
from tests.test_commands import Desk

pytestmark = pytest.mark.slow

RETRY_S = 61.0


def told(desk: Desk, numbers: range) -> None:
    for number in numbers:
        assert desk.ask("loglevel", str(number), {"level": "debug"}).status == "succeeded"
        desk.clock.now_s += 1.0


def is_known(folder: Path, numbers: range) -> bool:
    ledger = Desk(folder).ledger
    try:
        return all(ledger.find(("loglevel", str(number))) is not None for number in numbers)
    finally:
        ledger.close()


def recovers(desk: Desk, folder: Path, numbers: range) -> None:
    """All outcomes are on the disk a minute after it is well, though nobody asks for anything."""
    desk.errands.turn(desk.clock.now_s + RETRY_S)
    assert desk.ledger.is_lasting
    desk.ledger.close()
    assert is_known(folder, numbers)


def test_a_disk_that_fills_and_has_room_again(volumes: Volumes) -> None:
    volume = volumes()
    desk = Desk(volume.path)
    told(desk, range(3))
    volume.fill()
    told(desk, range(3, 60))
    assert not desk.ledger.is_lasting
    volume.free()
    recovers(desk, volume.path, range(60))


def test_a_disk_that_was_full_from_the_first_moment(volumes: Volumes) -> None:
    volume = volumes()
    volume.fill()
    desk = Desk(volume.path)
    told(desk, range(3))
    assert not desk.ledger.is_lasting
    volume.free()
    recovers(desk, volume.path, range(3))


def test_a_read_only_disk_at_the_start_with_a_promise_on_it(volumes: Volumes) -> None:
    volume = volumes()
    first = Desk(volume.path)
    first.ask("restart", "promised")
    first.ledger.close()
    volume.remount("ro")
    desk = Desk(volume.path)
    desk.commands.resume()
    told(desk, range(3))
    assert not desk.ledger.is_lasting
    volume.remount("rw")
    recovers(desk, volume.path, range(3))
    assert [answer.status for answer in desk.said if answer.command.id == "promised"] == ["succeeded"]


def test_another_disk_is_mounted_over_the_folder(volumes: Volumes) -> None:
    volume = volumes()
    desk = Desk(volume.path)
    told(desk, range(3))
    over = type(volume)(volume.path).mount()
    try:
        told(desk, range(3, 6))
        assert not desk.ledger.is_lasting
        desk.errands.turn(desk.clock.now_s + RETRY_S)
        assert (over.path / FILE_NAME).exists()
        recovers(desk, over.path, range(6))
    finally:
        desk.ledger.close()
        over.unmount()
