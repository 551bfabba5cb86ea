"""A range patch: new scales for the activations of a quantized file, its weights untouched.

A deployed int8 or uint8 file is a set of weights, and a scale and zero point for each group of activations. The patch
names new ones; int32 biases, which count in units of input scale times weight scale, are counted anew. Nothing else
in the file changes, and its length does not. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from agent.errors import ModelError
from agent.model.draft import Draft
from agent.model.flat import Buffer
from agent.model.groups import Group, biased, groups
from agent.model.net import CODE_RANGES, Net, Tensor
from agent.model.packing import Entry, pack, unpack

MOST_BYTES = 1024
"""Of a patch as JSON."""

_MOST_SCALE = float(np.finfo(np.float32).max) / 256
"""Beyond it the ends of the range are no float32 any more."""

Reals = npt.NDArray[np.float64]

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True, slots=True)
class Scale:
    """real = scale * (code - zero_point)."""

    scale: float
    zero_point: int


class RangePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turns one file into another; at most 1 KB as JSON.

    Undone by dropping it: the file that it was made for is never overwritten.
    """

    base_sha256: Annotated[Sha256, Meta(description="Of the file it is for.")]
    result_sha256: Annotated[Sha256, Meta(description="Of the file it makes.")]
    ranges: Annotated[
        str,
        Meta(description="Which groups have new ranges, and these, packed (agent.model.packing)."),
    ]


def scale_for(low: float, high: float, dtype: str) -> Scale:
    """The scale whose codes hold [low, high] and 0 exactly, as converters choose it.

    Raises:
        ValueError: a bound is not finite, or they are the wrong way round.

    >>> scale_for(0.0, 6.0, "int8")
    Scale(scale=0.023529412224888802, zero_point=-128)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"[{low}, {high}] is no range")
    first, last = CODE_RANGES[dtype]
    scale = float(np.float32(max(high - low, 1e-6) / (last - first)))
    return Scale(scale, int(np.clip(round(first - low / scale), first, last)))


def range_of(scale: Scale, dtype: str) -> tuple[float, float]:
    """The real values of the lowest and the highest code."""
    first, last = CODE_RANGES[dtype]
    return (first - scale.zero_point) * scale.scale, (last - scale.zero_point) * scale.scale


def make(data: Buffer, scales: Sequence[Scale | None], most_bytes: int = MOST_BYTES) -> tuple[RangePatch, bytes]:
    """The patch that gives each group its new scale, and the file that it makes.

    Args:
        data: the quantized file.
        scales: one for each of :func:`agent.model.groups.groups`; None keeps what is there.
        most_bytes: of the patch as JSON.

    Raises:
        ModelError: the file cannot be changed (see there), a frozen group is named, a bias leaves its 32 bits, or the
            patch would be larger than that.
    """
    net = Net(data)
    found = groups(net)
    # as the patch carries them: a bias counted with more digits would not be found again by who applies it
    scales = [scale and Scale(float(np.float32(scale.scale)), scale.zero_point) for scale in scales]
    changed = rescale(net, found, scales)
    patch = RangePatch(
        base_sha256=hashlib.sha256(data).hexdigest(),
        result_sha256=hashlib.sha256(changed).hexdigest(),
        ranges=pack([_entry(*each) for each in zip(found, scales, strict=True) if not each[0].frozen]),
    )
    _refuse_large(patch, len(found), most_bytes)
    return patch, changed


def _refuse_large(patch: RangePatch, many: int, most_bytes: int) -> None:
    size = len(msgspec.json.encode(patch))
    if size > most_bytes:
        raise ModelError(
            f"the patch would take {size} bytes, {most_bytes} are the most: this model has too many ranges ({many}); "
            "quantize it anew from the float model"
        )


def _entry(group: Group, scale: Scale | None) -> Entry | None:
    """As it is packed; None where nothing changes."""
    if scale is None or scale == Scale(group.scale, group.zero_point):
        return None
    return scale.scale, scale.zero_point - CODE_RANGES[group.dtype][0]


def apply(data: Buffer, patch: RangePatch) -> bytes:
    """The patched file.

    Raises:
        ModelError: the patch is for another file, is damaged, or does not make the file that it names.
    """
    own = hashlib.sha256(data).hexdigest()
    if own != patch.base_sha256:
        raise ModelError(f"the patch is for the file {patch.base_sha256[:12]}, this one is {own[:12]}")
    net = Net(data)
    found = groups(net)
    changed = rescale(net, found, _unpacked(patch, found))
    made = hashlib.sha256(changed).hexdigest()
    if made != patch.result_sha256:
        raise ModelError(f"the patch should make {patch.result_sha256[:12]} and makes {made[:12]}: it is damaged")
    return changed


def _unpacked(patch: RangePatch, found: Sequence[Group]) -> list[Scale | None]:
    free = [group for group in found if not group.frozen]
    try:
        entries = unpack(patch.ranges, len(free))
    except ValueError as error:
        raise ModelError(f"the patch is damaged: {error}") from None
    scales = {
        group.tensors: Scale(entry[0], entry[1] + CODE_RANGES[group.dtype][0])
        for group, entry in zip(free, entries, strict=True)
        if entry is not None
    }
    return [scales.get(group.tensors) for group in found]


@np.errstate(invalid="ignore", over="ignore")  # a damaged file's scales may be no numbers; what they make is judged
def rescale(net: Net, found: Sequence[Group], scales: Sequence[Scale | None]) -> bytes:
    """The file with new scales; those that stay as they are leave every byte as it is."""
    draft = Draft(net.data)
    new: dict[int, Scale] = {}
    for group, scale in zip(found, scales, strict=True):
        if scale is None or scale == Scale(group.scale, group.zero_point):
            continue
        if group.frozen:
            name = net.tensors[group.tensors[0]].name
            raise ModelError(f"the range of {name!r} cannot be changed: {group.frozen}")
        _refuse_no_scale(scale, group.dtype)
        new |= dict.fromkeys(group.tensors, scale)
    owners = _owners(net)
    for index, scale in new.items():
        _set_scale(draft, net.tensors[index], scale, owners)
    _recount_biases(draft, net, new)
    return draft.finished()


def _refuse_no_scale(scale: Scale, dtype: str) -> None:
    first, last = CODE_RANGES[dtype]
    if not 0.0 < scale.scale <= _MOST_SCALE:
        raise ModelError(f"{scale.scale} is no scale")
    if not first <= scale.zero_point <= last:
        raise ModelError(f"{scale.zero_point} is no zero point of {dtype}")


def _owners(net: Net) -> dict[int, int]:
    """How many tensors use each quantization table and each of its vectors, by byte."""
    counts: dict[int, int] = {}
    for tensor in net.tensors:
        quantization = tensor.table.table(4)
        if quantization is not None:
            for place in {quantization.place, quantization.entries(2, 4)[0], quantization.entries(3, 8)[0]}:
                counts[place] = counts.get(place, 0) + 1
    return counts


def _set_scale(draft: Draft, tensor: Tensor, scale: Scale, owners: dict[int, int]) -> None:
    quantization = tensor.table.table(4)
    assert quantization is not None, "an activation without a scale is in no group"  # noqa: S101
    scale_at, _ = quantization.entries(2, 4)
    zero_at, zeros = quantization.entries(3, 8)
    if zeros != 1 or any(owners[place] > 1 for place in (quantization.place, scale_at, zero_at)):
        new = draft.append_quantization(scale.scale, scale.zero_point)
        draft.turn(tensor.table, 4, new, f"the quantization of {tensor.name!r}")
        return
    draft.put(scale_at, "f", scale.scale)
    draft.put(zero_at, "q", scale.zero_point)
    for slot, bound in zip((0, 1), range_of(scale, tensor.dtype), strict=True):
        place, count = quantization.entries(slot, 4)
        if count == 1:
            draft.put(place, "f", bound)


def _recount_biases(draft: Draft, net: Net, new: dict[int, Scale]) -> None:
    done: dict[tuple[int, bool], float] = {}
    for op in net.ops:
        ends = biased(op)
        if ends is None or ends[2] < 0 or not net.tensors[ends[0]].is_code:
            continue
        data, bias = net.tensors[ends[0]], net.tensors[ends[2]]
        ratio = float(data.scales[0]) / new[ends[0]].scale if ends[0] in new else 1.0
        place = (bias.index, True) if net.is_zero(bias) else (bias.buffer, False)
        if done.setdefault(place, ratio) != ratio:
            raise ModelError(f"{op.shown}: shares its bias with another operation of another scale")
        if ends[0] in new:
            if bias.dtype != "int32" or not bias.is_constant or len(bias.data) % 4:
                raise ModelError(f"{op.shown}: its bias is {bias.dtype} and not a constant int32; no range is changed")
            unit = new[ends[0]].scale * net.tensors[ends[1]].scales.astype(np.float64)
            _recount(draft, op.shown, bias, ratio, _step(net.tensors[op.outputs[0]], new, unit))


def _step(output: Tensor, new: dict[int, Scale], unit: Reals) -> Reals:
    """One code of an operation's output in units of its bias, one or one a channel; 0 where they cannot be compared."""
    step = new[output.index].scale if output.index in new else float(output.scales[0]) if output.is_code else 0.0
    many = output.shape[-1] if output.shape else 1
    if len(unit) not in {1, many} or not (unit > 0).all():
        return np.zeros(1)
    return step / unit


def _recount(draft: Draft, shown: str, bias: Tensor, ratio: float, step: Reals) -> None:
    """Count a bias in new units; ``step``: of the output, in those units, one or one a channel.

    Quantizers give a channel whose weights are all zero a scale of nearly zero, in which 32 bits do not reach its bias:
    it stands at the end of them. There it stays, as long as that moves the output by less than half a step.
    """
    counts = np.rint(np.frombuffer(bias.data, "<i4").astype(np.float64) * ratio)
    limit = np.iinfo(np.int32)
    held = np.clip(counts, limit.min, limit.max)
    if len(step) not in {1, len(counts)} or not (np.abs(counts - held) <= step / 2).all():
        raise ModelError(f"{shown}: with the new range of its input its bias needs more than 32 bits")
    draft.put_array(bias.at, held.astype(np.int32))
    quantization = bias.table.table(4)
    if quantization is not None and len(bias.scales):
        scales = bias.scales.astype(np.float64) / ratio
        if not np.abs(scales).max() <= np.finfo(np.float32).max:
            raise ModelError(f"{shown}: with the new range of its input its bias needs a scale beyond every float32")
        draft.put_array(quantization.entries(2, 4)[0], scales.astype(np.float32))
