"""Frames that are not all held at once: hundreds of pictures of a large camera are more than a board's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from agent.camera import read_picture
from agent.records import Pixels


class Pictures(Sequence[Pixels]):
    """Pictures of files, each decoded when it is asked for and not kept.

    Raises CameraError then, where one is no longer what it was.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> Pixels | Pictures:
        if isinstance(index, slice):
            return Pictures(self._paths[index])
        return read_picture(self._paths[index])


class Chosen(Sequence[Pixels]):
    """Some frames of others, by number; as lazy as those are."""

    def __init__(self, frames: Sequence[Pixels], indices: Iterable[int]) -> None:
        self._frames, self._indices = frames, tuple(int(index) for index in indices)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> Chosen: ...
    def __getitem__(self, index: int | slice) -> Pixels | Chosen:
        if isinstance(index, slice):
            return Chosen(self._frames, self._indices[index])
        return self._frames[self._indices[index]]

    def __iter__(self) -> Iterator[Pixels]:
        return (self._frames[index] for index in self._indices)
