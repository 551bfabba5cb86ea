"""Patch the CPU file, compile it, and see that what came out is that very file.

What is compiled for the Edge TPU cannot be looked into, so a patch is measured with, and made for, the CPU file that
the compiled one was made from. Where there is no compiler, the patched CPU file is what comes of it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.errors import ModelError, StorageError, UnavailableError
from agent.files import write_whole
from agent.model import Net, RangePatch, apply, groups, mapped
from agent.model.net import Tensor
from agent.recalibrate import overlay
from agent.wording import no_json
from tools.edgetpu.compiler import COMPILER, Log, Run, compile_with, read_log

CUSTOM = "edgetpu-custom-op"
_MOST_PATCH = 64 * 1024

WITHOUT = (
    "runs on a CPU as it is; to compile it, install Google's package edgetpu-compiler on an x86-64 Debian or Ubuntu "
    "(there is none for other machines) and run this again there: docs/coral.md"
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was written.

    Attributes:
        patched: the CPU file with the patch.
        compiled: the file for the Edge TPU; None where it was not asked for.
        log: what the compiler says of its operations.
    """

    patched: Path
    compiled: Path | None = None
    log: Log | None = None


def carry(
    model: Path,
    patch: Path,
    out: Path,
    *,
    compiler: str = COMPILER,
    timeout_s: float | None = None,
    patch_only: bool = False,
) -> Made:
    """Patch the CPU file and compile it.

    Args:
        model: the quantized file that the compiled one was made from.
        patch: a range patch, or an overlay record of a board (``overlays/`` in its state folder).
        out: folder for what is made.
        compiler: name on the PATH, or path.
        timeout_s: what the compiler is given; None: its own choice.
        patch_only: do not compile.

    Raises:
        ModelError: the patch is for another file, or the compiler refuses or breaks what it is given.
        UnavailableError: there is no compiler, or it takes too long; the patched CPU file is written.
        StorageError: a file cannot be read or written.
    """
    data = patched_bytes(model, read_patch(patch))
    made = out / f"{model.stem}.patched.tflite"
    compiled, log = (made.with_name(f"{made.stem}_edgetpu{suffix}") for suffix in (".tflite", ".log"))
    _remove(compiled, log)  # they would belong to another patch
    _write(made, data)
    if patch_only:
        return Made(made)
    program = shutil.which(compiler)
    if program is None:
        raise UnavailableError(f"{compiler} is not installed; {made} is written: it {WITHOUT}")
    run = compile_with(program, data, timeout_s)
    _write(log, run.said.encode())
    result = _result(run, made, log)
    refuse_other(result, data, made)
    _write(compiled, result)
    return Made(made, compiled, read_log(run.said))


def read_patch(path: Path) -> RangePatch:
    """The patch in a file: alone, or in an overlay record.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is neither.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_PATCH + 1)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        found = msgspec.json.decode(data)
        if not isinstance(found, dict) or "v" not in found:  # every record has its version, a patch alone has none
            return msgspec.convert(found, RangePatch)
        ranges = overlay.decode(data).ranges
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = no_json(error, RangePatch)
        raise ModelError(f"{path}: is no range patch and no overlay record: {why}") from None
    if ranges is None:
        raise ModelError(f"{path}: this record has no range patch; the rest of it is not for the model file")
    return ranges.patch


def patched_bytes(model: Path, patch: RangePatch) -> bytes:
    """The CPU file with the patch.

    Raises:
        ModelError: it is compiled already, or another file than the patch is for, or no model.
    """
    data = mapped(model)
    try:
        groups(Net(data))  # says of a compiled file what it is, where its sha256 alone would say "another file"
        return apply(data, patch)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from None


def refuse_other(compiled: bytes, patched: bytes, made: Path) -> None:
    """Refuse what is not this very file, compiled.

    Raises:
        ModelError: says what differs.
    """
    try:
        result = Net(memoryview(compiled))
        wrong = _nothing(result) or _strange(result, Net(memoryview(patched)))
    except ModelError as error:
        wrong = f"cannot be read: {error}"
    if wrong:
        raise ModelError(f"{made}: what {COMPILER} made of it {wrong}; the patched file can be run on a CPU")


def told(made: Made) -> str:
    """For a person."""
    lines = [f"{made.patched}: the patched file, for a CPU"]
    if made.compiled is None or made.log is None:
        return "\n".join(lines)
    lines += [f"{made.compiled}: for the Edge TPU, {_share(made.log)}"]
    lines += [f"  left to the CPU: {row.count} {row.name} ({row.why})" for row in made.log.left]
    lines.append(
        f"on the board: edge-agent parity --model {made.compiled.name} --delegate edgetpu "
        f"--other-model {made.patched.name} --other-delegate none --camera FRAMES"
    )
    return "\n".join(lines)


def _share(log: Log) -> str:
    if log.is_whole:
        return f"which runs {log.mapped} of {log.named} operations"
    of = "" if log.total is None else f" of {log.total}"
    return f"how many operations run there is not told: the compiler's log names {log.named}{of}"


def _result(run: Run, made: Path, log: Path) -> bytes:
    if run.result is not None:
        return run.result
    if run.is_late:
        raise UnavailableError(
            f"{made}: {COMPILER} did not end in its time; give it more with --timeout; what it said is in {log}"
        )
    raise ModelError(f"{made}: {COMPILER} does not compile it: {run.reason}; all that it said is in {log}")


def _nothing(result: Net) -> str:
    return "" if any(op.name == CUSTOM for op in result.ops) else "has nothing that runs on the Edge TPU"


def _strange(result: Net, source: Net) -> str:
    """What is in the result and not in the source."""
    ours, theirs = (Counter(op.name for op in net.ops if op.name != CUSTOM) for net in (result, source))
    if ours - theirs:
        return f"has the operation {min(ours - theirs)}, which the patched file has not"
    for what, mine, his in (("inputs", result.inputs, source.inputs), ("outputs", result.outputs, source.outputs)):
        if [_meaning(result.tensors[index]) for index in mine] != [_meaning(source.tensors[index]) for index in his]:
            return f"has {what} of another shape, type or scale"
    known = {tensor.name: tensor for tensor in source.tensors if tensor.is_code}
    for tensor in result.tensors:
        if tensor.is_code and tensor.name in known and _meaning(tensor) != _meaning(known[tensor.name]):
            return f"has {tensor.name!r} in another shape, type or scale"
    return ""


def _meaning(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.scales.tolist(), tensor.zero_points.tolist()


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data, safely=False)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
