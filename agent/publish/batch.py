"""Many windows in one message: newline-delimited JSON, deflated (zlib). Pure.

Each line is a payload of its own, with one field more: ``kind``, the last word of the topic that it would have had
alone. Any zlib opens it; a reader in Python calls :func:`decode_batch`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import msgspec

from agent.publish.contract import Envelope
from agent.publish.topics import BY_CLASS, find_batch

MAX_PLAIN_BYTES = 2**20
"""Most that a reader has to inflate: a few bytes can else be made to fill any memory."""

MAX_LINES = 1024


class _Kind(msgspec.Struct):
    kind: str


def pack(lines: Sequence[bytes]) -> bytes:
    """Deflates lines of JSON.

    >>> unpack(pack([b'{"a":1}', b'{"a":2}']))
    [b'{"a":1}', b'{"a":2}']
    """
    return zlib.compress(b"\n".join(lines), 9)


def unpack(packed: bytes) -> list[bytes]:
    """The lines again.

    Raises:
        ValueError: it is no zlib stream, is cut short, or inflates beyond the bound.
    """
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed, MAX_PLAIN_BYTES)
    except zlib.error as error:
        raise ValueError(f"no zlib stream: {error}") from None
    if not inflate.eof:
        raise ValueError(f"cut short, or more than {MAX_PLAIN_BYTES} bytes")
    lines = plain.split(b"\n")
    if len(lines) > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES} lines")
    return lines


def line(cls: str, body: bytes) -> bytes:
    """A payload as a line of a batch.

    >>> line("m/sys", b'{"v":1}')
    b'{"kind":"sys","v":1}'
    """
    return b'{"kind":"%s",' % cls.removeprefix("m/").encode() + body[1:]


def parts(lines: Sequence[bytes], fits: Callable[[bytes], bool]) -> list[tuple[int, bytes]]:
    """Lines as few batches that fit, in order, each with its number of lines; a single line is not cut."""
    packed = pack(lines)
    plain_bytes = sum(map(len, lines)) + len(lines)
    if len(lines) == 1 or (plain_bytes <= MAX_PLAIN_BYTES and len(lines) <= MAX_LINES and fits(packed)):
        return [(len(lines), packed)]
    half = len(lines) // 2
    return [*parts(lines[:half], fits), *parts(lines[half:], fits)]


def decode_batch(topic: str, body: bytes) -> list[Envelope]:
    """The windows in a batch, as :func:`agent.publish.decode` gives them one by one.

    Raises:
        msgspec.DecodeError: the payload is not what the contract says.
        LookupError: the topic is none of a batch.
    """
    batch = find_batch(topic)
    if batch is None:
        raise LookupError(f"{topic} is no topic of batches")
    try:
        lines = unpack(body)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None
    only = topic.rpartition("/")[2] if batch.pattern.endswith("{kind}") else None
    return [_decode_line(text, only) for text in lines]


def _decode_line(text: bytes, only: str | None) -> Envelope:
    try:
        kind = msgspec.json.decode(text, type=_Kind).kind
        topic = BY_CLASS.get(f"m/{kind}")
        if topic is None or (only is not None and kind != only):
            raise msgspec.ValidationError(f"a window of kind {kind[:64]!r} has no place here")
        return msgspec.json.decode(text, type=topic.payload)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.ValidationError(f"no JSON: {type(error).__name__}") from None
