"""Class names, and the offset that the field gets wrong most often.

A COCO model counts ``person`` as class 0; the classic label map begins with ``???`` or ``background``, the Coral one
does not. The file's length against the model's number of classes tells which it is; where it does not, the agent
refuses and asks for ``model.label_offset``.
"""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import ModelError
from agent.records import Labels

_NUMBERED = re.compile(r"^(\d{1,9})\s*[:\s,]\s*(\S.*)$", re.ASCII)
_NO_OBJECT = {"???", "n/a", "background", "__background__", "_background_", "none", ""}
_MOST_BYTES = 1 << 20
_MOST_CLASSES = 100_000


def read_labels(
    path: Path | None, embedded: tuple[str, ...] = (), *, num_classes: int | None = None, offset: int | None = None
) -> Labels:
    """Names by the model's class number.

    Args:
        path: a label file, one name a line, or ``number name`` lines; None: the embedded ones.
        embedded: the lines packed into the model.
        num_classes: object classes of the model, background not counted; None when the file does not say.
        offset: class number + offset = line; None: found out.

    Raises:
        ModelError: the file cannot be read, or its offset cannot be told.
    """
    where = str(path) if path else "the labels packed into the model"
    lines = _read(path) if path else list(embedded)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        if path:
            raise ModelError(f"{where}: is empty; one name a line is needed")
        return Labels()
    numbered = _numbered(lines, where)
    names = numbered or dict(enumerate(name.strip() for name in lines))
    if offset is None:
        offset = _numbered_offset(names, num_classes, where) if numbered else _offset(lines, num_classes, where)
    named = {
        number - offset: name for number, name in names.items() if number >= offset and name.lower() not in _NO_OBJECT
    }
    if not named:
        raise ModelError(f"{where}: model.label_offset = {offset} leaves no name; class number + offset = line")
    return Labels(named)


def _read(path: Path) -> list[str]:
    try:
        if path.is_dir():
            raise ModelError(f"{path}: is a folder; give the label file in it")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path}: is a device or a pipe; give a label file")
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes are no label file; one name a line is needed")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give the model's label file") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is no text (byte {error.start}); one name a line is needed") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    if re.match(r"\s*item\s*\{", text):
        raise ModelError(f"{path}: is a .pbtxt label map; write it as one name a line")
    return text.splitlines()


def _numbered(lines: list[str], where: str) -> dict[int, str] | None:
    """Names by the number that stands before each; None when not every line has one."""
    matches = [_NUMBERED.match(line.strip()) for line in lines if line.strip()]
    pairs = [(int(match[1]), match[2].strip()) for match in matches if match]
    if len(pairs) < len(matches):
        return None
    names: dict[int, str] = {}
    for number, name in pairs:
        if number > _MOST_CLASSES:
            raise ModelError(f"{where}: class number {number} is beyond any model's; is it a label file?")
        if number in names:
            raise ModelError(f"{where}: two names for number {number}, {names[number]!r} and {name!r}; remove one")
        names[number] = name
    return names


def _numbered_offset(names: dict[int, str], num_classes: int | None, where: str) -> int:
    """What the numbers of a file are ahead of the model's: 0, or 1 where number 0 is no object."""
    first, last = min(names), max(names)
    headed = first == 1 or (first == 0 and names[0].lower() in _NO_OBJECT)
    if num_classes is None:
        if headed:
            raise ModelError(
                f"{where}: its first object has number 1, and the model does not say how many classes it has; "
                "set model.label_offset to 1 if that is the model's class 0, to 0 if it is its class 1"
            )
        return 0
    if last == num_classes and headed:
        return 1
    if last >= num_classes:
        raise ModelError(
            f"{where}: names number {last}, but the model has {num_classes} classes; "
            "give the right file, or set model.label_offset (class number + offset = number)"
        )
    return 0


def _offset(lines: list[str], num_classes: int | None, where: str) -> int:
    headed = lines[0].strip().lower() in _NO_OBJECT
    if num_classes is None:
        if headed:
            raise ModelError(
                f"{where}: begins with {lines[0]!r}, and the model does not say how many classes it has; "
                f"set model.label_offset to 1 if class 0 is {lines[1:2]}, to 0 if it is the background"
            )
        return 0
    if len(lines) == num_classes:
        return 0
    if len(lines) == num_classes + 1 and headed:
        return 1
    raise ModelError(
        f"{where}: has {len(lines)} names, but the model has {num_classes} classes; "
        "give the right file, or set model.label_offset (class number + offset = line)"
    )
