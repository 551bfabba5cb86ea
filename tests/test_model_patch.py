"""Range patches: new scales in a file, every other byte as it was."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.infer import choose_backend
from agent.model import Group, Net, RangePatch, Scale, apply, groups, make, mapped, range_of, rescale, scale_for
from agent.model.draft import Draft
from agent.model.groups import biased
from agent.model.net import CODE_RANGES
from agent.model.patch import MOST_BYTES
from tests.conftest import ASSETS, missing
from tests.models import demo_file

QUANTIZED = (
    "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite",
    "automl_traffic_lstm_ssd_quant.tflite",
    "demo:model.tflite",
    "demo:model.raw.tflite",
    "invalid/add_quantized_int8.tflite",
)


def load(name: str) -> memoryview:
    if name.startswith("demo:"):
        return memoryview(demo_file(name.removeprefix("demo:")))
    path = ASSETS / "models" / name
    if not path.exists():
        missing(f"no model at {path}")
    return mapped(path)


@pytest.fixture(scope="module", params=QUANTIZED)
def data(request: pytest.FixtureRequest) -> memoryview:
    return load(request.param)


@pytest.fixture(scope="module")
def demo() -> memoryview:
    return load("demo:model.tflite")


def own(group: Group) -> Scale:
    return Scale(group.scale, group.zero_point)


def wider(found: tuple[Group, ...], factor: float = 2.0) -> list[Scale | None]:
    def scale(group: Group) -> Scale:
        low, high = range_of(own(group), group.dtype)
        return scale_for(factor * low, factor * high, group.dtype)

    return [None if group.frozen else scale(group) for group in found]


def test_the_same_ranges_give_the_same_file_to_the_last_bit(data: memoryview) -> None:
    found = groups(Net(data))
    patch, same = make(data, [None if group.frozen else own(group) for group in found])
    assert same == bytes(data)
    assert apply(data, patch) == bytes(data)


def refusal(path: Path) -> str:
    """Why the file has no ranges to change; empty when it has."""
    try:
        groups(Net(mapped(path)))
    except ModelError as error:
        return str(error)
    return ""


def test_every_quantized_file_of_the_assets_is_among_them(assets: Path) -> None:
    """What else lies there is float, compiled for the Edge TPU, or no model: each says so."""
    files = {str(path.relative_to(assets / "models")): path for path in (assets / "models").rglob("*.tflite")}
    said = {name: refusal(path) for name, path in files.items()}
    assert {name for name, why in said.items() if not why} == {
        name for name in QUANTIZED if not name.startswith("demo:")
    }
    for name, why in said.items():
        assert not why or re.search(
            "not quantized|for the Edge TPU|damaged|not a TFLite|not known|no graph|several graphs", why
        ), (name, why)


def test_a_patch_of_every_range_has_at_most_a_kilobyte_and_makes_its_file_again(data: memoryview) -> None:
    patch, made = make(data, wider(groups(Net(data))))
    packed = msgspec.json.encode(patch)
    assert len(packed) <= MOST_BYTES
    assert made != bytes(data)
    assert len(made) == len(data)
    assert apply(data, msgspec.json.decode(packed, type=RangePatch)) == made


def test_a_patch_that_is_too_large_is_refused_with_what_to_do(data: memoryview) -> None:
    wide = wider(groups(Net(data)))
    size = len(msgspec.json.encode(make(data, wide)[0]))
    assert make(data, wide, size)
    with pytest.raises(ModelError, match=rf"would take {size} bytes, {size - 1} are the most: .*; quantize it anew"):
        make(data, wide, size - 1)


def test_a_patch_of_few_ranges_is_small(demo: memoryview) -> None:
    found = groups(Net(demo))
    first = next(place for place, group in enumerate(found) if not group.frozen)
    scales = [scale if place == first else None for place, scale in enumerate(wider(found))]
    patch, made = make(demo, scales)
    assert len(patch.ranges) < 60
    assert apply(demo, patch) == made != bytes(demo)


def test_a_patch_from_before_is_read_still(data: memoryview) -> None:
    found = groups(Net(data))
    patch, made = make(data, wider(found))
    lowest = {"int8": -128, "uint8": 0}
    free = [(group, scale) for group, scale in zip(found, wider(found), strict=True) if scale is not None]
    entries = [struct.pack("<fB", scale.scale, scale.zero_point - lowest[group.dtype]) for group, scale in free]
    before = msgspec.structs.replace(patch, ranges=base64.b85encode(b"".join(entries)).decode())
    assert apply(data, before) == made


def test_only_scales_zero_points_and_biases_change(data: memoryview) -> None:
    net = Net(data)
    found = groups(net)
    after = Net(memoryview(rescale(net, found, wider(found))))
    inside = {index for group in found if not group.frozen for index in group.tensors}
    biases = {ends[2] for op in net.ops if (ends := biased(op)) and ends[0] in inside}
    for one, other in zip(net.tensors, after.tensors, strict=True):
        assert (one.name, one.shape, one.dtype, one.buffer) == (other.name, other.shape, other.dtype, other.buffer)
        if one.index not in inside:
            assert one.index in biases or one.scales.tolist() == other.scales.tolist()
        if one.index not in biases:
            assert bytes(one.data) == bytes(other.data)
    assert [op.inputs for op in net.ops] == [op.inputs for op in after.ops]


def test_a_bias_means_the_same_after_it(demo: memoryview) -> None:
    net = Net(demo)
    found = groups(net)
    after = Net(memoryview(rescale(net, found, wider(found, 1.7))))
    checked = 0
    for op in net.ops:
        ends = biased(op)
        if ends is None or ends[2] < 0:
            continue
        before, now, data = net.tensors[ends[2]], after.tensors[ends[2]], after.tensors[ends[0]]
        weights = after.tensors[ends[1]].scales
        np.testing.assert_allclose(now.scales, data.scales[0] * weights, rtol=1e-5)
        real = [np.frombuffer(bias.data, "<i4") * bias.scales.astype(float) for bias in (before, now)]
        np.testing.assert_allclose(real[0], real[1], atol=float(now.scales.max()))
        checked += 1
    assert checked == sum(op.name in {"CONV_2D", "DEPTHWISE_CONV_2D"} for op in net.ops)


def test_tensors_that_share_codes_share_a_group(data: memoryview) -> None:
    net = Net(data)
    place = {index: number for number, group in enumerate(groups(net)) for index in group.tensors}
    for op in net.ops:
        if op.name in {"RESHAPE", "STRIDED_SLICE", "RESIZE_NEAREST_NEIGHBOR"} and op.inputs[0] in place:
            one, other = net.tensors[op.inputs[0]], net.tensors[op.outputs[0]]
            same = (one.range, one.scales.tolist()) == (other.range, other.scales.tolist())
            assert (place[op.inputs[0]] == place[op.outputs[0]]) == same, op.shown


def test_input_and_logistic_keep_their_ranges(data: memoryview) -> None:
    net = Net(data)
    frozen = {index for group in groups(net) if group.frozen for index in group.tensors}
    assert set(net.inputs) <= frozen
    assert {op.outputs[0] for op in net.ops if op.name == "LOGISTIC"} <= frozen


def test_a_concatenation_of_different_scales_is_not_joined() -> None:
    net = Net(load(QUANTIZED[0]))
    place = {index: number for number, group in enumerate(groups(net)) for index in group.tensors}
    classes = [op for op in net.ops if op.name == "CONCATENATION" and net.tensors[op.outputs[0]].name == "concat_1"]
    scales = {float(net.tensors[index].scales[0]) for index in classes[0].inputs}
    assert len(scales) == 6
    assert len({place[index] for index in (*classes[0].inputs, *classes[0].outputs)}) == 7


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")
def test_both_runtimes_run_a_patched_file(data: memoryview, backend: str) -> None:
    runtime = choose_backend(backend).module.Interpreter(model_content=make(data, wider(groups(Net(data))))[1])
    runtime.allocate_tensors()
    for item in runtime.get_input_details():
        runtime.set_tensor(item["index"], np.full(item["shape"], 7, item["dtype"]))
    runtime.invoke()
    assert all(np.isfinite(runtime.get_tensor(item["index"])).all() for item in runtime.get_output_details())


def changes(patch: RangePatch) -> Iterator[tuple[RangePatch, str]]:
    yield msgspec.structs.replace(patch, base_sha256="0" * 64), "is for the file 000000000000"
    yield msgspec.structs.replace(patch, result_sha256="0" * 64), "it is damaged"
    yield msgspec.structs.replace(patch, ranges=patch.ranges[:-5]), "damaged|ranges, this file has"
    yield msgspec.structs.replace(patch, ranges="\u00e9" * 10), "damaged"
    yield msgspec.structs.replace(patch, ranges=""), "has 0 ranges"


def test_a_wrong_or_damaged_patch_is_refused_by_name(demo: memoryview) -> None:
    patch, _ = make(demo, wider(groups(Net(demo))))
    for wrong, words in changes(patch):
        with pytest.raises(ModelError, match=words):
            apply(demo, wrong)


def test_a_patch_with_unknown_or_short_fields_is_refused_when_read() -> None:
    whole = {"base_sha256": "0" * 64, "result_sha256": "1" * 64, "ranges": ""}
    msgspec.json.decode(json.dumps(whole), type=RangePatch)
    for wrong in ({**whole, "more": 1}, {**whole, "base_sha256": "0" * 63}, {**whole, "base_sha256": "0" * 64 + "\n"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(wrong), type=RangePatch)


def test_a_frozen_range_is_not_changed(demo: memoryview) -> None:
    found = groups(Net(demo))
    scales: list[Scale | None] = [Scale(0.1, 0) if group.frozen else None for group in found]
    with pytest.raises(ModelError, match="cannot be changed: the graph's input"):
        make(demo, scales)


def test_a_bias_that_leaves_its_32_bits_is_refused_and_named(demo: memoryview) -> None:
    found = groups(Net(demo))
    tiny: list[Scale | None] = [None if group.frozen else Scale(1e-12, 0) for group in found]
    with pytest.raises(ModelError, match=r"operation \d+ \(\w+\): .* more than 32 bits"):
        make(demo, tiny)


def with_dead_channel(data: memoryview, weight: float) -> tuple[memoryview, int]:
    """The file as quantizers write a channel without weights, its bias at the end of 32 bits; and its bias's tensor."""
    net = Net(data)
    ends = next(ends for op in net.ops[1:] if (ends := biased(op)) and ends[2] >= 0)
    bias, weights = net.tensors[ends[2]], net.tensors[ends[1]]
    draft = Draft(data)
    counts = np.frombuffer(bias.data, "<i4").copy()
    counts[0] = np.iinfo(np.int32).min
    draft.put_array(bias.table_of_data.entries(0, 1)[0], counts)
    table = weights.table.table(4)
    assert table is not None
    draft.put_array(table.entries(2, 4)[0], np.concatenate([[weight], weights.scales[1:]]).astype(np.float32))
    return memoryview(draft.finished()), ends[2]


def narrower(data: memoryview) -> tuple[RangePatch, bytes]:
    found = groups(Net(data))
    return make(data, [None if group.frozen else Scale(0.6 * group.scale, group.zero_point) for group in found])


def test_a_bias_that_stood_at_the_end_of_its_32_bits_stays_there(demo: memoryview) -> None:
    data, bias = with_dead_channel(demo, 7.9e-12)
    patch, made = narrower(data)
    before, after = (np.frombuffer(Net(each).tensors[bias].data, "<i4") for each in (data, memoryview(made)))
    assert after[0] == np.iinfo(np.int32).min
    np.testing.assert_allclose(after[1:], before[1:] / 0.6, atol=0.51)
    assert apply(data, patch) == made


def test_a_bias_at_the_end_of_its_32_bits_that_means_something_is_refused(demo: memoryview) -> None:
    data, _ = with_dead_channel(demo, 1e-6)
    with pytest.raises(ModelError, match="more than 32 bits"):
        narrower(data)


def alone(net: Net) -> list[tuple[int, Group]]:
    """Groups of one tensor whose range may be changed, with their places."""
    return [(place, it) for place, it in enumerate(groups(net)) if not it.frozen and len(it.tensors) == 1]


def test_two_groups_that_share_a_table_of_scales_are_told_apart(demo: memoryview) -> None:
    """A converter may write equal scales once; the other group must not move along."""
    one, other = (it.tensors[0] for _, it in alone(Net(demo))[:2])
    draft = Draft(demo)
    table = draft.append_quantization(0.05, -3)
    for index in (one, other):
        draft.turn(Net(demo).tensors[index].table, 4, table, "scales")
    shared = memoryview(draft.finished())
    (place, _), *_ = alone(Net(shared))
    scales: list[Scale | None] = [None] * len(groups(Net(shared)))
    scales[place] = Scale(0.07, 5)
    patch, made = make(shared, scales)
    after = Net(memoryview(made)).tensors
    assert [(round(float(after[index].scales[0]), 3), int(after[index].zero_points[0])) for index in (one, other)] == [
        (0.07, 5),
        (0.05, -3),
    ]
    assert apply(shared, patch) == made


def test_scales_are_counted_as_the_patch_carries_them(demo: memoryview) -> None:
    """A scale of more digits than a float32 has makes the same file when the patch is applied elsewhere."""
    found = groups(Net(demo))
    patch, made = make(demo, [None if group.frozen else Scale(1.7 * group.scale, group.zero_point) for group in found])
    assert apply(demo, patch) == made


@pytest.mark.parametrize("zero_point", [-129, 128])
def test_what_is_no_zero_point_is_refused(demo: memoryview, zero_point: int) -> None:
    found = groups(Net(demo))
    with pytest.raises(ModelError, match=f"{zero_point} is no zero point of int8"):
        make(demo, [None if group.frozen else Scale(0.1, zero_point) for group in found])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e38])
def test_what_is_no_scale_is_refused(demo: memoryview, scale: float) -> None:
    found = groups(Net(demo))
    with pytest.raises(ModelError, match="is no scale"):
        make(demo, [None if group.frozen else Scale(scale, 0) for group in found])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("face_mask_detection_float.tflite", "is not quantized"),
        ("edgetpu/mediapipe_face_detector_quantized_edgetpu.tflite", "compiled for the Edge TPU.*compile that again"),
        (
            "edgetpu/ssd_mobilenet_v1_coco_quant_postprocess_segment_3_of_4_edgetpu.tflite",
            "compiled for the Edge TPU.*compile that again",
        ),
    ],
)
def test_files_that_have_no_ranges_to_change_say_why(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        groups(Net(load(name)))


@given(
    low=st.floats(-1e4, 1e4),
    high=st.floats(-1e4, 1e4),
    dtype=st.sampled_from(["int8", "uint8"]),
)
def test_a_scale_holds_its_range_and_zero_exactly(low: float, high: float, dtype: str) -> None:
    low, high = sorted((low, high))
    scale = scale_for(low, high, dtype)
    first, last = range_of(scale, dtype)
    assert first <= 0.0 <= last
    # the zero point is rounded to a code: up to half a step of one end is beyond the range
    assert first - scale.scale <= min(low, 0.0) + 1e-6
    assert max(high, 0.0) - 1e-6 <= last + scale.scale
    assert last - first <= (max(high, 0.0) - min(low, 0.0)) * 1.001 + 1e-5
    # and it is rounded to the nearest one
    assert abs(scale.zero_point - (CODE_RANGES[dtype][0] - min(low, 0.0) / scale.scale)) <= 0.501


@pytest.mark.parametrize("ends", [(float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_without_an_end_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is no range"):
        scale_for(*ends, "int8")


def test_bytes_cut_anywhere_are_refused_and_never_crash(tmp_path: Path, demo: memoryview) -> None:
    whole = bytes(demo)
    for size in range(0, len(whole), 9973):
        try:
            make(memoryview(whole[:size]), [None])
        except (ModelError, ValueError):
            continue
        pytest.fail(f"{size} bytes of {len(whole)} were taken for a model")
