"""Which of the kept frames are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.board import state_folder
from agent.config import Config
from agent.errors import StorageError
from agent.sample import Kept, Reason, Shelf, read
from agent.wording import nearest

FOLDER = "samples"


@dataclass(frozen=True, slots=True)
class Picked:
    """Some frames of a folder.

    Attributes:
        folder: where they lie.
        kept: those that are meant, in the order taken.
        shelf: everything that lies there.
    """

    folder: Path
    kept: list[Kept]
    shelf: Shelf


def store_folder(config: Config) -> Path:
    """Where this board keeps frames, there or not."""
    return Path(config.sample.folder).expanduser() if config.sample.folder else state_folder(config) / FOLDER


def pick(folder: Path, names: Sequence[str] = (), why: Reason | None = None, last: int | None = None) -> Picked:
    """The frames that are meant; all of them without further words.

    Args:
        folder: of the store, or a copy of one.
        names: whole names, or their numbers.
        why: kept for this reason, also beside another.
        last: at most so many, the newest.

    Raises:
        StorageError: the folder cannot be read, or a frame is not there.
    """
    shelf = read(folder)
    kept = _named(folder, shelf, names) if names else shelf.kept
    kept = [each for each in kept if why is None or why in each.record.why]
    return Picked(folder, kept if last is None else kept[len(kept) - min(last, len(kept)) :], shelf)


def _named(folder: Path, shelf: Shelf, names: Sequence[str]) -> list[Kept]:
    by_name = {each.name: each for each in shelf.kept}
    by_number = {str(int(name.partition("-")[0])): each for name, each in by_name.items()}
    found = {}
    for name in names:
        number = name.lstrip("0") if name.isascii() and name.isdigit() else ""
        each = by_name.get(name) or by_number.get(number)
        if each is None:
            fault = shelf.damaged.get(name)
            told = f"is damaged: {fault}" if fault else f"is not kept; {nearest(name, list(by_name)[-8:])}"
            raise StorageError(f"{folder}: {name!r} {told}")
        found[each.name] = each
    return [found[name] for name in sorted(found)]
