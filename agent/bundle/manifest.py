"""``manifest.json``: what a bundle says of itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.errors import ModelError
from agent.records import Heads
from agent.wording import no_json

FORMAT = 1
"""Version of this layout; a reader refuses a larger one."""

NAME = "manifest.json"
SIGNATURE = "manifest.json.minisig"
MODEL = "model.tflite"
LABELS = "labels.txt"

Word = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Unknown fields are ignored, so that a newer maker's bundle stays readable within one format."""


class FileEntry(_Part, frozen=True, kw_only=True):
    """One file of the archive: its sha256 in hex and its size in bytes."""

    sha256: Hash
    size: Annotated[int, Meta(ge=0)]


class InputSpec(_Part, frozen=True, kw_only=True):
    """How pictures become the input tensor; see ``[model]`` of the settings."""

    color: Literal["rgb", "bgr", "gray"] = "rgb"
    resize: Literal["stretch", "letterbox"] = "stretch"
    mean: list[float] = []
    std: list[float] = []


class Budget(_Part, frozen=True, kw_only=True):
    """What the model may cost on the board: p99 of one invoke in seconds, resident memory in bytes."""

    p99_s: float | None = None
    rss_bytes: int | None = None


class Golden(_Part, frozen=True, kw_only=True):
    """One golden frame and what must be found on it.

    Attributes:
        picture: name of the picture in the archive.
        xyxy: boxes in its pixels.
        confidence: scores.
        label: class names.
    """

    picture: str
    xyxy: list[tuple[float, float, float, float]]
    confidence: list[float]
    label: list[str]


class Manifest(_Part, frozen=True, kw_only=True):
    """The whole manifest.

    Attributes:
        format: version of this layout.
        name: the model's name.
        version: its version, for people.
        seq: rises with every release; a board never goes back by itself.
        files: every other file of the archive.
        input: how pictures become the input tensor.
        heads: anchors and coding of raw heads.
        label_offset: class number + offset = line of ``labels.txt``.
        score_threshold: detections below it are not objects.
        class_thresholds: the same for single classes, by name.
        iou_threshold: for class-wise suppression.
        budget: what the model may cost.
        golden: frames with known answers.
        golden_tolerance: greatest difference of a score that still counts as the same.
        local_overlays: the signer lets a board correct or recalibrate this model by itself.
    """

    format: Annotated[int, Meta(ge=1)] = FORMAT
    name: Word
    version: Word
    seq: Annotated[int, Meta(ge=0)]
    files: dict[str, FileEntry]
    input: InputSpec = InputSpec()
    heads: Heads | None = None
    label_offset: int = 0
    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    class_thresholds: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    iou_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    budget: Budget = Budget()
    golden: list[Golden] = []
    golden_tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.02
    local_overlays: bool = False


def decode(data: bytes) -> Manifest:
    """The manifest in these bytes.

    Raises:
        ModelError: they are no manifest, or of a newer format.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{NAME}: {no_json(error, Manifest)}") from None
    if manifest.format > FORMAT:
        raise ModelError(f"{NAME}: format {manifest.format} is newer than this agent's {FORMAT}; update the agent")
    if MODEL not in manifest.files:
        raise ModelError(f"{NAME}: names no {MODEL}")
    for name in manifest.files:
        check_name(name)
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The manifest as bytes; the same manifest gives the same bytes."""
    plain: dict[str, Any] = msgspec.to_builtins(manifest)
    return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=2) + b"\n"


def check_name(name: str) -> None:
    """Refuse a name that could leave the folder it is unpacked into.

    Raises:
        ModelError: absolute, with ``..``, a backslash, a control character, or too long.
    """
    parts = name.split("/")
    wrong = not name.isprintable() or "\\" in name or ":" in name or len(name) > 200
    if wrong or any(part in {"", ".", ".."} for part in parts):
        raise ModelError(f"file name {name!r} is not allowed in a bundle")
