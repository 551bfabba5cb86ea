"""The pages of ``model show`` and ``model diff`` as lines of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.model import Diff, Page
    from agent.model.page import GroupLine, OpLine, Output, Scales, TensorLine

COLUMNS = 100
_LABEL = 11


def page(told: Page, name: str) -> list[str]:
    """What is told without being asked for more."""
    parts = [
        ("file", f"{name}, {_bytes(told.sizes.file)} (constants {_bytes(told.sizes.constants)})"),
        ("sha256", told.sha256),
        ("made by", told.description or "(the file does not say)"),
        ("values", told.kind),
        ("detector", _detector(told)),
        *(("input", _end(told.tensors[index])) for index in told.inputs),
        *((f"output {number}", _output(told, item)) for number, item in enumerate(told.outputs)),
        ("operations", _operations(told.ops)),
        ("ranges", _ranges(told)),
        ("fast", _fast(told)),
        *(("odd", said) for said in told.quirks),
    ]
    return [line for label, said in parts for line in _part(label, said)]


def learned(notes: Sequence[str]) -> list[str]:
    """What this board lays over the file when it runs it."""
    return [line for note in notes for line in _part("over it", f"{note}; the file itself is as shown")]


def _part(label: str, said: str) -> list[str]:
    blank = " " * _LABEL
    return textwrap.wrap(said, COLUMNS, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=blank) or [label]


def _detector(told: Page) -> str:
    found = told.detector
    if found is None:
        return f"none that this agent runs: {told.not_detector}"
    form = "boxes decoded and suppressed in the graph" if found.form == "decoded" else "raw heads, to be decoded"
    said = [f"SSD, {form}"]
    said += [f"{found.num_classes} classes" if found.num_classes is not None else "number of classes not said"]
    said += [f"{found.anchors} anchors" if found.anchors is not None else "number of anchors left open"]
    said += [f"anchors described in the file ({', '.join(found.maps)})"] if found.maps else []
    said += [f"{found.labels} labels packed in"] if found.labels else []
    said += [f"mean {list(found.mean)} std {list(found.std)}"] if found.mean else []
    return ", ".join(said)


def _end(tensor: TensorLine) -> str:
    shape = str(list(tensor.shape)) if tensor.shape else "(shape not said)"
    return f"{_short(tensor.name, 40)}  {tensor.dtype} {shape}{_meaning(tensor.scales)}"


def _output(told: Page, item: Output) -> str:
    return (f"{item.role}: " if item.role else "") + _end(told.tensors[item.tensor])


def _meaning(scales: Scales | None) -> str:
    if scales is None or scales.low is None or scales.high is None:
        return ""
    return f"  {scales.low:.4g} to {scales.high:.4g}"


def _operations(ops: Sequence[OpLine]) -> str:
    counts = Counter(op.name for op in ops)
    return f"{len(ops)}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _ranges(told: Page) -> str:
    if told.no_groups:
        return f"not to be changed: {told.no_groups}"
    frozen = sum(bool(group.frozen) for group in told.groups)
    return f"{len(told.groups)} groups of tensors share a scale, {frozen} of them fixed"


def _fast(told: Page) -> str:
    many = len(told.ops)
    litert, old = (sum(getattr(op, field) for op in told.ops) for field in ("litert", "tflite_runtime"))
    left = Counter(f"{op.name} ({op.edge_tpu})" for op in told.ops if op.edge_tpu)
    if any(op.name == "edgetpu-custom-op" for op in told.ops):
        coral = "compiled for the Edge TPU already"
    elif len(left) and sum(left.values()) == many:
        coral = "none for the Edge TPU: it is not in 8-bit form"
    else:
        coral = f"{many - sum(left.values())} may run on the Edge TPU" + (f", not {', '.join(left)}" if left else "")
    kernels = f"{litert} of {many} operations by XNNPACK in LiteRT, {old} in tflite-runtime 2.14"
    return f"by rule, not measured: {kernels}; {coral}"


def ops(told: Page) -> list[str]:
    """The list of ``--ops``: L, T, E mark what LiteRT, tflite-runtime and the Edge TPU run fast, by rule."""
    return [
        f"{'op':>4} {'name':<27} {'fast':<4} {'shape':<24} fused, reads -> writes",
        *(_op(told, op) for op in told.ops),
    ]


def _op(told: Page, op: OpLine) -> str:
    fast = "".join(
        mark if is_fast else "-"
        for mark, is_fast in (("L", op.litert), ("T", op.tflite_runtime), ("E", not op.edge_tpu))
    )
    shape = list(told.tensors[op.outputs[0]].shape) if op.outputs and op.outputs[0] >= 0 else []
    fused = op.fused or (f"({op.implied} implied)" if op.implied else "")
    ends = f"{_numbers(op.inputs)} -> {_numbers(op.outputs)}"
    line = f"{op.position:>4} {_short(op.name, 27):<27} {fast:<4} {shape!s:<24} {fused + ' ' if fused else ''}{ends}"
    return line[:COLUMNS]


def _numbers(indices: Iterable[int]) -> str:
    return ",".join("-" if index < 0 else str(index) for index in indices)


def tensors(told: Page) -> list[str]:
    """The list of ``--tensors``."""
    head = f"{'tensor':>6} {'name':<26} {'type':<8} {'shape':<20} {'scale':<12} {'range':<13} {'group':>8}"
    return [head, *(_tensor(tensor)[:COLUMNS] for tensor in told.tensors)]


def _tensor(tensor: TensorLine) -> str:
    scales = tensor.scales
    scale = "" if scales is None else f"{scales.least:.5g}" if scales.count == 1 else f"{scales.count} scales"
    ends = "" if scales is None or scales.low is None or scales.high is None else f"{scales.low:.3g}..{scales.high:.3g}"
    role = "constant" if tensor.role == "constant" else ""
    group = role if tensor.group is None else str(tensor.group)
    return (
        f"{tensor.index:>6} {_short(tensor.name, 26):<26} {tensor.dtype:<8} {list(tensor.shape)!s:<20} "
        f"{scale:<12} {ends:<13} {group:>8}"
    )


def groups(told: Page) -> list[str]:
    """The list of ``--groups``."""
    head = f"{'group':>5} {'type':<5} {'scale':<11} {'zero':>5} {'range':<20} {'bounds':<13} tensors"
    return [head, *(line for group in told.groups for line in _group(group))]


def _group(group: GroupLine) -> list[str]:
    floor, ceiling = ("" if end is None else f"{end:g}" for end in (group.floor, group.ceiling))
    bounds = f"{floor}..{ceiling}" if floor or ceiling else ""
    line = (
        f"{group.number:>5} {group.dtype:<5} {group.scale:<11.6g} {group.zero_point:>5} "
        f"{f'{group.low:.4g}..{group.high:.4g}':<20} {bounds:<13} {_numbers(group.tensors[:6])}"
        f"{',...' if len(group.tensors) > 6 else ''}"
    )
    return [line, *([f"{'':>6}fixed: {group.frozen}"] if group.frozen else [])]


def diff(found: Diff, most: int = 20) -> list[str]:
    """The page of ``model diff``; of long lists the first ``most``."""
    parts = [
        ("verdict", found.verdict),
        *(
            (label, f"{_bytes(side.size_bytes)}  sha256 {side.sha256}")
            for label, side in (("A", found.a), ("B", found.b))
        ),
    ]
    if found.a.description != found.b.description:
        parts.append(("made by", f"{found.a.description or '(nothing)'} -> {found.b.description or '(nothing)'}"))
    parts += _ends(found)
    parts += [
        (label, _counted(counts))
        for label, counts in (("ops gone", found.ops_removed), ("ops new", found.ops_added))
        if counts
    ]
    parts += [
        (
            label,
            f"{len(names)} tensors: {', '.join(_short(name, 40) for name in names[:4])}{', ...' * (len(names) > 4)}",
        )
        for label, names in (("gone", found.tensors_removed), ("new", found.tensors_added))
        if names
    ]
    parts += [("metadata", f"differs: {', '.join(found.metadata)}")] if found.metadata else []
    parts += [
        ("constants", f"{found.constants_same} the same, {len(found.constants)} not"),
        ("ranges", f"{found.ranges_same} the same, {len(found.ranges)} not"),
    ]
    lines = [line for label, said in parts for line in _part(label, said)]
    return lines + _constants(found, most) + _changed_ranges(found, most)


def _ends(found: Diff) -> list[tuple[str, str]]:
    pairs = (("inputs", found.a.inputs, found.b.inputs), ("outputs", found.a.outputs, found.b.outputs))
    return [
        (label, f"{', '.join(before) or '(none)'} -> {', '.join(after) or '(none)'}")
        for label, before, after in pairs
        if before != after
    ]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _constants(found: Diff, most: int) -> list[str]:
    if not found.constants:
        return []
    rows = [
        f"{_short(item.name, 44):<44} {item.dtype:<8} {_of(item.changed, item.values):>17} "
        f"{'-' if item.most_codes is None else item.most_codes:>9} "
        f"{'-' if item.most_real is None else format(item.most_real, '.3g'):>9}"
        f"{' same' if item.means_the_same else ''}"
        for item in found.constants[:most]
    ]
    head = f"\n{'constant':<44} {'type':<8} {'codes changed':>17} {'most':>9} {'real':>9}"
    return [head, *rows, *_more(len(found.constants), most)]


def _of(changed: int | None, values: int) -> str:
    return "not comparable" if changed is None else f"{changed} of {values}"


def _changed_ranges(found: Diff, most: int) -> list[str]:
    if not found.ranges:
        return []
    rows = [
        f"{_short(item.name, 50):<50} {_meaning(item.before) or '-':<23} -> {_meaning(item.after) or '-'}"[:COLUMNS]
        for item in found.ranges[:most]
    ]
    return [f"\n{'range of':<50} {'  before':<23}      after", *rows, *_more(len(found.ranges), most)]


def _more(count: int, most: int) -> list[str]:
    return [f"... and {count - most} more (--json lists them all)"] if count > most else []


def _short(name: str, columns: int) -> str:
    """The first of the names that a converter joined, its end where it is too long."""
    first = name.split(";", maxsplit=1)[0]
    return first if len(first) <= columns else "~" + first[1 - columns :]


def _bytes(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1e6:.2f} MB"
