"""The float twin: what a quantized file computes, without the rounding of its activations."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from agent.errors import ModelError
from agent.infer import choose_backend
from agent.model import Group, Net, Scale, float_twin, groups, make
from agent.model.draft import Draft
from agent.model.net import Tensor
from agent.model.twin import real
from tests.models import demo_file
from tests.test_model_patch import QUANTIZED, load

DETECTORS = [name for name in QUANTIZED if not name.startswith("invalid/")]
"""Without the two additions whose one says float32 and has a scale."""


@pytest.fixture(scope="module", params=DETECTORS)
def data(request: pytest.FixtureRequest) -> memoryview:
    return load(request.param)


def answers(model: bytes, backend: str, pictures: np.ndarray | None = None) -> list[np.ndarray]:
    runtime = choose_backend(backend).module.Interpreter(model_content=model)
    runtime.allocate_tensors()
    for item in runtime.get_input_details():
        shape, dtype = tuple(item["shape"]), item["dtype"]
        value = pictures if pictures is not None and shape == pictures.shape else np.zeros(shape)
        runtime.set_tensor(item["index"], value.astype(dtype))
    runtime.invoke()
    return [runtime.get_tensor(item["index"]) for item in runtime.get_output_details()]


def test_nothing_of_it_is_quantized_and_every_operation_is_kept_but_the_recoding(data: memoryview) -> None:
    net, twin = Net(data), Net(memoryview(float_twin(data)))
    assert not any(len(tensor.scales) for tensor in twin.tensors)
    assert not {tensor.dtype for tensor in twin.tensors} & {"int8", "uint8"}
    assert [op.name for op in twin.ops] == [op.name for op in net.ops if op.name != "DEQUANTIZE"]


def test_activations_that_the_converter_left_out_are_put_back() -> None:
    data = load(QUANTIZED[0])
    before, after = Net(data), Net(memoryview(float_twin(data)))
    left_out = [op for op in before.ops if op.name in {"CONV_2D", "DEPTHWISE_CONV_2D"} and not op.fused]
    clamped = [op for op in left_out if before.tensors[op.outputs[0]].range == pytest.approx((0.0, 6.0), rel=1e-4)]
    assert len(clamped) == 27
    assert {after.ops[op.position].fused for op in clamped} == {"RELU6"}
    assert {after.ops[op.position].fused for op in left_out if op not in clamped} == {""}


def test_its_heads_are_those_of_the_quantized_file_but_for_rounding(backend: str) -> None:
    data = memoryview(demo_file("model.raw.tflite"))
    net = Net(data)
    picture = net.tensors[net.inputs[0]]
    codes = np.random.default_rng(7).integers(-128, 128, picture.shape).astype(np.int8)
    values = (codes.astype(np.float32) - np.float32(picture.zero_points[0])) * picture.scales[0]
    quantized, twin = answers(bytes(data), backend, codes), answers(float_twin(data), backend, values)
    for index, one, other in zip(net.outputs, quantized, twin, strict=True):
        tensor = net.tensors[index]
        heads = (one.astype(np.float32) - tensor.zero_points[0]) * tensor.scales[0]
        assert other.dtype == np.float32
        assert np.square(other - heads).mean() < 0.01 * np.square(other).mean()  # 20 dB


def test_without_the_left_out_activations_values_would_explode(backend: str) -> None:
    found = answers(float_twin(load(QUANTIZED[0])), backend, np.zeros((1, 300, 300, 3)))
    assert all(np.abs(item).max() < 100 for item in found)


def test_constants_mean_what_their_codes_meant() -> None:
    data = memoryview(demo_file())
    net, twin = Net(data), Net(memoryview(float_twin(data)))
    weights = [op.inputs[1] for op in net.ops if op.name == "CONV_2D"]
    assert weights
    for index in weights:
        before, after = net.tensors[index], twin.tensors[index]
        codes = np.frombuffer(before.data, np.int8).reshape(before.shape)
        expected = codes * before.scales.reshape([-1 if axis == before.axis else 1 for axis in range(codes.ndim)])
        np.testing.assert_allclose(np.frombuffer(after.data, "<f4").reshape(after.shape), expected, rtol=1e-6)
        np.testing.assert_array_equal(real(before), np.frombuffer(after.data, "<f4").reshape(after.shape))


def test_a_float_file_is_its_own_twin() -> None:
    with pytest.raises(ModelError, match="is not quantized: it is its own float twin"):
        float_twin(load("face_mask_detection_float.tflite"))


def stored_apart(data: memoryview) -> memoryview:
    """The file with its larger constants behind the flatbuffer, as today's converters and quantizers write them."""
    net, draft = Net(data), Draft(data)
    start, _ = net.graph.root.entries(4, 4)
    for tensor in net.tensors:
        if len(tensor.data) < 256:
            continue
        at = draft.append_vector(np.frombuffer(tensor.data, np.uint8)) + 4
        vtable = draft._aligned(8)
        draft._bytes += struct.pack("<HH3H", 10, 20, 0, 4, 12)
        table = draft._aligned(8) + 4  # its 64-bit numbers, four bytes on, have to be aligned
        draft._bytes += bytes(4) + struct.pack("<iQQ", table - vtable, at, len(tensor.data))
        place = start + 4 * tensor.buffer
        draft.put(place, "I", table - place)
    return memoryview(draft.finished())


def test_constants_behind_the_flatbuffer_are_read_and_turned_to_floats() -> None:
    data = load("demo:model.raw.tflite")
    moved = stored_apart(data)
    apart = [tensor for tensor in Net(moved).tensors if tensor.is_apart]
    assert len(apart) > 20
    assert not any(tensor.is_apart for tensor in Net(data).tensors)
    for one, other in zip(Net(data).tensors, Net(moved).tensors, strict=True):
        assert (one.dtype, one.shape, bytes(one.data)) == (other.dtype, other.shape, bytes(other.data))
        assert bytes(moved[other.at : other.at + len(other.data)]) == bytes(other.data)
    for one, other in zip(Net(memoryview(float_twin(data))).tensors, _floats(moved), strict=True):
        assert bytes(one.data) == bytes(other.data)


def _floats(data: memoryview) -> tuple[Tensor, ...]:
    return Net(memoryview(float_twin(data))).tensors


def test_the_twin_of_a_file_with_constants_behind_it_answers_the_same(backend: str) -> None:
    data = load("demo:model.raw.tflite")
    pictures = np.random.default_rng(1).uniform(-1, 1, (1, 192, 256, 3))
    for one, other in zip(
        *(answers(float_twin(each), backend, pictures) for each in (data, stored_apart(data))), strict=True
    ):
        assert one.tobytes() == other.tobytes()


def test_a_patch_of_a_file_with_constants_behind_it_counts_the_same_biases() -> None:
    data = load("demo:model.raw.tflite")
    made = [Net(memoryview(make(each, [_half(group) for group in groups(Net(each))])[1])) for each in both(data)]
    for one, other in zip(made[0].tensors, made[1].tensors, strict=True):
        assert bytes(one.data) == bytes(other.data)


def both(data: memoryview) -> tuple[memoryview, memoryview]:
    return data, stored_apart(data)


def _half(group: Group) -> Scale | None:
    return None if group.frozen else Scale(0.5 * group.scale, group.zero_point)


def test_constants_that_are_said_to_lie_beyond_the_end_are_refused() -> None:
    moved = stored_apart(load("demo:model.raw.tflite"))
    buffer = next(tensor.table_of_data for tensor in Net(moved).tensors if tensor.is_apart)
    draft = Draft(moved)
    draft.put_slot(buffer, 1, "Q", len(moved) - 100, "its place")
    with pytest.raises(ModelError, match=r"bytes at byte \d+ of \d+; is the file complete"):
        _ = Net(memoryview(draft.finished())).tensors
