"""What a reply carries, as a file: the picture of ``snapshot``, the whole result of ``bench-result``."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.local.wire import Reply

CARRIED = ("jpeg", "zlib")
"""Names in ``data`` of what is written in base64."""


def save(path: Path, reply: Reply, part: Callable[[int], Reply]) -> None:
    """Write what the reply carries, decoded; nothing when it carries nothing.

    Args:
        path: the file; replaced when it is there.
        reply: a succeeded one.
        part: asks for a further part of a result.

    Raises:
        StorageError: it cannot be written.
        UnavailableError: a part is not given, or is damaged.
    """
    from agent.errors import StorageError, UnavailableError
    from agent.files import write_whole

    try:
        if isinstance(reply.data.get("jpeg"), str):
            write_whole(path, base64.b64decode(reply.data["jpeg"]))
        elif isinstance(reply.data.get("zlib"), str):
            write_whole(path, zlib.decompress(_joined(reply, part)))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    except (ValueError, zlib.error) as error:
        raise UnavailableError(f"{reply.op}: what came is damaged ({error}); ask again") from None


def _joined(first: Reply, part: Callable[[int], Reply]) -> bytes:
    from agent.errors import UnavailableError

    begun, parts = first.data.get("part", 0), first.data.get("parts", 1)
    packed = base64.b64decode(first.data["zlib"]) if begun == 0 else b""
    for number in range(1 if begun == 0 else 0, parts):
        reply = part(number)
        if reply.status != "succeeded":
            raise UnavailableError(f"{first.op}: part {number} of {parts}: {reply.message}")
        packed += base64.b64decode(reply.data["zlib"])
    return packed


def shown(reply: Reply, path: Path | None, *, is_terminal: bool) -> dict[str, Any]:
    """The reply as plain values; what is in a file, or would flood a terminal, is named only."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(reply)
    for name in CARRIED:
        carried = reply.data.get(name)
        if not isinstance(carried, str):
            continue
        if path is not None and reply.status == "succeeded":
            plain["data"] = {**reply.data, name: str(path)}
        elif is_terminal:
            plain["data"] = {**reply.data, name: f"{len(carried)} characters; --save FILE writes it decoded"}
    return plain
