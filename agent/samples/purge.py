"""Kept frames removed for good, beside a running agent too: it notices."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from agent.errors import StorageError, UnavailableError
from agent.files import sync_folder
from agent.sample import PICTURE, RECORD, Held, Kept, Shelf, age_s, read
from agent.sample.tenure import Tenure


def purge(folder: Path, names: Iterable[str]) -> int:
    """Remove frames by name; how many were there.

    Raises:
        StorageError: one cannot be removed.
    """
    count = 0
    for name in names:
        count += _removed(folder / f"{name}{RECORD}")
        _removed(folder / f"{name}{PICTURE}")
    _sync(folder)
    return count


def older_than(shelf: Shelf, most_s: float, wall_s: float) -> list[str]:
    """Names of what was kept longer ago than that, by the store's own rule.

    Args:
        shelf: what there is.
        most_s: seconds.
        wall_s: unix time now.
    """
    return [kept.name for kept in shelf.kept if _age_s(kept, shelf.lived_s, wall_s) > most_s]


def _age_s(kept: Kept, lived_s: float, wall_s: float) -> float:
    record = kept.record
    held = Held(record.name, record.why[0], kept.size_bytes, record.lived_s, record.wall_s)
    return age_s(held, lived_s, wall_s)


def purge_all(folder: Path) -> tuple[int, str]:
    """Remove everything that is ours; how many frames there were, and what could not be removed, in a sentence.

    While an agent writes to the folder, a picture without a record may be a frame in the making, and stays.

    Raises:
        StorageError: something cannot be removed.
    """
    shelf = read(folder)
    count = purge(folder, [*(kept.name for kept in shelf.kept), *shelf.damaged])
    if not folder.is_dir():
        return count, ""
    tenure = Tenure(folder, time.monotonic)
    try:
        tenure.take()
    except UnavailableError:
        return count, "a frame that an agent writes just now may remain"
    try:
        shelf = read(folder)
        for name in (*(f"{name}{PICTURE}" for name in shelf.orphans), *shelf.left_over):
            _removed(folder / name)
    finally:
        tenure.let_go()
    _sync(folder)
    return count, ""


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
    return True


def _sync(folder: Path) -> None:
    try:
        sync_folder(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from None
