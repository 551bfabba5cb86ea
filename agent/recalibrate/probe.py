"""Measuring the ranges of a quantized model's activations, with that model alone or with its float twin.

**Wide probe**: the same weights run with wider scales, so that what the deployed scales would clip is seen; codes are
counted, and the range is what was used. Its resolution is that of the wide scale, so a last pass measures again with
scales that just hold what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.infer import Backend, Taps
from agent.model import Group, Net, Scale, float_twin, groups, ops, range_of, rescale, scale_for, tapped
from agent.model.net import Tensor as Picture
from agent.recalibrate.ranges import Counts, Histogram
from agent.records import FloatArray, Tensor

_WIDER = 2.0
_MUCH_WIDER = 4.0
_CLIPPED_SHARE = 1e-5
"""More than this share of the values in an end code: the range did not hold them."""

_MOST_PASSES = 5
_MARGIN = 1.05
"""Between what was seen and the ends of the last pass's scales."""

_BINS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a group held; ``histogram`` is None for a group that no frame reached or whose range is fixed."""

    group: Group
    histogram: Histogram | None


def sources(net: Net, group: Group) -> tuple[int, ...]:
    """The group's tensors that bring values into it; the others only pass them on."""
    inside = set(group.tensors)
    passed = {
        index
        for op in net.ops
        if op.name in ops.SAME and any(source in inside for source in op.inputs)
        for index in op.outputs
    }
    return tuple(index for index in group.tensors if index not in passed) or group.tensors


def wide_probe(data: memoryview, frames: Sequence[Tensor], backend: Backend, num_threads: int = 1) -> list[Seen]:
    """Ranges by the quantized model alone.

    Args:
        data: the file.
        frames: input tensors of the file's own dtype, without labels.
        backend: the runtime.
        num_threads: of one invoke.

    Raises:
        ModelError: the file cannot be changed, or the runtime refuses it.
    """
    net = Net(data)
    found = groups(net)
    wanted = [sources(net, group) for group in found]
    scales = [_wider(group, range_of(Scale(group.scale, group.zero_point), group.dtype)) for group in found]
    for left in reversed(range(_MOST_PASSES)):
        chosen = [None if group.frozen else scale for group, scale in zip(found, scales, strict=True)]
        taps = _taps(rescale(net, found, chosen), wanted, backend, num_threads)
        counts = _count(taps, frames, found, wanted)
        clipped = [_is_clipped(*item) for item in zip(found, counts, scales, strict=True)]
        if not left or (left < _MOST_PASSES - 1 and not any(clipped)):
            break
        scales = [_next(*item) for item in zip(found, counts, scales, clipped, strict=True)]
    return [
        Seen(group, None if group.frozen or not count.sum() else _histogram(group, count, scale))
        for group, count, scale in zip(found, counts, scales, strict=True)
    ]


def twin_probe(data: memoryview, frames: Sequence[Tensor], backend: Backend, num_threads: int = 1) -> list[Seen]:
    """Ranges by the float twin: two runs over the frames, for the ends and for the histogram between them.

    Args and errors as :func:`wide_probe`.
    """
    net = Net(data)
    found = groups(net)
    wanted = [sources(net, group) for group in found]
    taps = _taps(float_twin(data), wanted, backend, num_threads)
    picture = net.tensors[net.inputs[0]]
    real = [_real_input(picture, frame) for frame in frames]
    ends = _ends(taps, real, wanted)
    counts = [np.zeros(_BINS, np.int64) for _ in found]
    for frame in real:
        for number, values in enumerate(_by_group(taps, frame, wanted)):
            low, high = ends[number]
            counts[number] += np.histogram(values, _BINS, (low, high))[0]
    return [
        Seen(group, None if group.frozen else _between(low, high, count))
        for group, (low, high), count in zip(found, ends, counts, strict=True)
    ]


def _taps(model: bytes, wanted: Sequence[tuple[int, ...]], backend: Backend, num_threads: int) -> Taps:
    """tflite-runtime adds in place, whatever is to be preserved: what is read is made an output, which stays."""
    return Taps(tapped(memoryview(model), [index for indices in wanted for index in indices]), backend, num_threads)


def _real_input(tensor: Picture, frame: Tensor) -> FloatArray:
    shifted = frame.astype(np.float32) - np.float32(tensor.zero_points[0])
    return np.asarray(shifted * tensor.scales[0], np.float32)


def _by_group(taps: Taps, frame: Tensor, wanted: Sequence[tuple[int, ...]]) -> list[FloatArray]:
    flat = [index for indices in wanted for index in indices]
    read = iter(taps.read(frame, flat))
    return [np.concatenate([next(read).ravel() for _ in indices]) for indices in wanted]


def _ends(taps: Taps, frames: Sequence[FloatArray], wanted: Sequence[tuple[int, ...]]) -> list[tuple[float, float]]:
    low, high = np.zeros(len(wanted)), np.zeros(len(wanted))
    for frame in frames:
        values = _by_group(taps, frame, wanted)
        low = np.minimum(low, [float(item.min()) for item in values])
        high = np.maximum(high, [float(item.max()) for item in values])
    return [(float(first), float(max(last, first + 1e-6))) for first, last in zip(low, high, strict=True)]


def _between(low: float, high: float, counts: Counts) -> Histogram:
    step = (high - low) / _BINS
    return Histogram(low + step * (np.arange(_BINS) + 0.5), counts, step)


def _wider(group: Group, now: tuple[float, float], factor: float = _WIDER) -> Scale:
    """Scales that hold ``factor`` times the range, within what the group's producers can give."""
    # A linear output may have been one-sided in calibration by chance alone: both sides are looked at.
    reach = factor * max(abs(now[0]), abs(now[1]))
    return scale_for(max(group.floor, -reach), min(group.ceiling, reach), group.dtype)


def _count(
    taps: Taps, frames: Sequence[Tensor], found: Sequence[Group], wanted: Sequence[tuple[int, ...]]
) -> list[Counts]:
    """How often each code was used, lowest code first."""
    counts = [np.zeros(256, np.int64) for _ in found]
    for frame in frames:
        for number, values in enumerate(_by_group(taps, frame, wanted)):
            counts[number] += np.bincount(values.view(np.uint8), minlength=256)
    # int8 codes seen as uint8 begin at 0 and go on from -128
    return [np.roll(count, 128) if group.dtype == "int8" else count for group, count in zip(found, counts, strict=True)]


def _is_clipped(group: Group, counts: Counts, scale: Scale) -> bool:
    """Values lie beyond its ends, where the producers could give some."""
    if group.frozen:
        return False
    low, high = range_of(scale, group.dtype)
    limit = _CLIPPED_SHARE * counts.sum()
    is_low = counts[0] > limit and low > group.floor + scale.scale
    is_high = counts[-1] > limit and high < group.ceiling - scale.scale
    return bool(is_low or is_high)


def _histogram(group: Group, counts: Counts, scale: Scale) -> Histogram:
    low, _ = range_of(scale, group.dtype)
    return Histogram(low + scale.scale * np.arange(256), counts, scale.scale)


def _next(group: Group, counts: Counts, scale: Scale, is_clipped: bool) -> Scale:
    """Much wider where values were clipped; else as tight as what was seen allows."""
    if group.frozen or not counts.sum():
        return scale
    if is_clipped:
        return _wider(group, range_of(scale, group.dtype), _MUCH_WIDER)
    used = _histogram(group, counts, scale).centres[counts > 0]
    low, high = _MARGIN * (float(used[0]) - scale.scale), _MARGIN * (float(used[-1]) + scale.scale)
    return scale_for(max(group.floor, low), min(group.ceiling, high), group.dtype)
