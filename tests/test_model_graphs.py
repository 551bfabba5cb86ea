"""What each operation asks of its scales, on small trained graphs of operations that no model at hand has.

``tests/graphs/make.py`` made the files. A rule of ``agent.model.ops`` that is wrong shows here: the patched file is
refused by a runtime, or its answers leave those of its float twin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError
from agent.infer import Backend, Taps, choose_backend
from agent.model import Group, Net, Scale, apply, float_twin, groups, make, ops, range_of, rescale, scale_for, tapped
from agent.model.groups import biased
from agent.records import Tensor
from tests import tiny
from tests.graphs.scenes import scenes
from tests.models import installed

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")

FOLDER = Path(__file__).parent / "fixtures" / "graphs"
NAMES = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.int8.tflite"))
HELD = {
    "residual": {"ADD"},
    "ssdlite": {"ADD", "CONCATENATION", "LOGISTIC", "RESHAPE", "DEPTHWISE_CONV_2D"},
    "mobilenet_v3": {"HARD_SWISH", "MEAN", "FULLY_CONNECTED", "MUL", "LOGISTIC", "ADD"},
    "fpnlite": {"RESIZE_NEAREST_NEIGHBOR", "ADD", "MAX_POOL_2D", "CONCATENATION"},
    "bilinear": {"RESIZE_BILINEAR", "AVERAGE_POOL_2D", "PAD", "CONCATENATION"},
    "activations": {"LEAKY_RELU", "PRELU", "SUB", "TANH", "MAXIMUM"},
    "shapes": {"STRIDED_SLICE", "SPLIT", "PACK", "TRANSPOSE", "SPACE_TO_DEPTH"},
    "upwards": {"TRANSPOSE_CONV", "DEPTH_TO_SPACE", "SUM"},
    "remainder": {
        "MIRROR_PAD",
        "RELU",
        "SLICE",
        "SPLIT_V",
        "MINIMUM",
        "L2_NORMALIZATION",
        "TILE",
        "QUANTIZE",
        "UNPACK",
    },
}


@cache
def data(name: str, kind: str = "int8") -> memoryview:
    return memoryview((FOLDER / f"{name}.{kind}.tflite").read_bytes())


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runtime(backend: str) -> Backend:
    return choose_backend(backend)


def codes(net: Net, pictures: np.ndarray) -> list[Tensor]:
    picture = net.tensors[net.inputs[0]]
    found = np.rint(pictures / picture.scales[0] + picture.zero_points[0])
    return [item[None] for item in np.clip(found, -128, 127).astype(np.int8)]


def floats(net: Net, frame: Tensor) -> Tensor:
    picture = net.tensors[net.inputs[0]]
    return ((frame.astype(np.float32) - picture.zero_points[0]) * picture.scales[0]).astype(np.float32)


def sqnr(
    quantized: bytes, truth: bytes, frames: Sequence[Tensor], runtime: Backend, wanted: Sequence[int] = ()
) -> np.ndarray:
    """Signal to noise of tensors (the outputs, if none are named) of a quantized file, dB, against a float one."""
    net = Net(memoryview(quantized))
    here, there = wanted or net.outputs, wanted or Net(memoryview(truth)).outputs
    ours, other = (
        Taps(tapped(memoryview(model), wanted), runtime) for model, wanted in ((quantized, here), (truth, there))
    )
    signal, noise = np.zeros(len(here)), np.full(len(here), 1e-9)
    for frame in frames:
        pairs = zip(here, ours.read(frame, here), other.read(floats(net, frame), there), strict=True)
        for number, (index, found, real) in enumerate(pairs):
            tensor = net.tensors[index]
            value = (found.astype(np.float32) - tensor.zero_points[0]) * tensor.scales[0]
            signal[number] += np.square(real).sum()
            noise[number] += np.square(real - value).sum()
    return np.asarray(10 * np.log10(signal / noise))


def own(group: Group) -> Scale:
    return Scale(group.scale, group.zero_point)


def measured(quantized: memoryview, frames: Sequence[Tensor], runtime: Backend) -> list[Scale | None]:
    """Ranges from the smallest to the largest value of each group in the float twin."""
    net = Net(quantized)
    found = groups(net)
    read = [index for group in found for index in group.tensors]
    taps = Taps(tapped(memoryview(float_twin(quantized)), read), runtime)
    low, high = dict.fromkeys(read, 0.0), dict.fromkeys(read, 0.0)
    for frame in frames:
        for index, values in zip(read, taps.read(floats(net, frame), read), strict=True):
            low[index] = min(low[index], float(values.min()))
            high[index] = max(high[index], float(values.max()))

    def scale(group: Group) -> Scale | None:
        ends = min(low[i] for i in group.tensors), max(high[i] for i in group.tensors)
        return None if group.frozen else scale_for(*ends, group.dtype)

    return [scale(group) for group in found]


def stretched(quantized: memoryview, factor: float) -> bytes:
    found = groups(Net(quantized))

    def scale(group: Group) -> Scale:
        low, high = range_of(own(group), group.dtype)
        return scale_for(factor * low, factor * high, group.dtype)

    return make(quantized, [None if group.frozen else scale(group) for group in found])[1]


def test_the_files_are_those_that_were_made_and_hold_what_they_are_for() -> None:
    said = json.loads((FOLDER / "provenance.json").read_text())
    files = {path.name: path.read_bytes() for path in FOLDER.glob("*.tflite")}
    assert {name: hashlib.sha256(packed).hexdigest() for name, packed in files.items()} == said["files"]
    assert max(map(len, files.values())) < 100_000
    assert sum(map(len, files.values())) < 600_000
    assert set(HELD) == set(NAMES)
    for graph, names in HELD.items():
        assert names <= {op.name for op in Net(data(graph)).ops}, graph


def test_the_same_ranges_give_the_same_file(name: str) -> None:
    found = groups(Net(data(name)))
    patch, same = make(data(name), [None if group.frozen else own(group) for group in found])
    assert same == bytes(data(name))
    assert apply(data(name), patch) == same


def test_the_twin_is_the_float_original_but_for_the_rounding_of_weights(name: str, runtime: Backend) -> None:
    net, original = Net(data(name)), bytes(data(name, "float"))
    twin = Net(memoryview(float_twin(data(name))))
    one, other = Taps(bytes(twin.data), runtime), Taps(original, runtime)
    ends = Net(memoryview(original)).outputs
    signal = noise = 0.0
    for frame in codes(net, scenes(3, 20)[0]):
        pairs = zip(one.read(floats(net, frame), twin.outputs), other.read(floats(net, frame), ends), strict=True)
        for found, real in pairs:
            signal += float(np.square(real).sum())
            noise += float(np.square(real - found).sum())
    assert 10 * np.log10(signal / noise) > 35


def test_ranges_of_the_converters_own_frames_answer_as_well_as_the_converters_file(name: str, runtime: Backend) -> None:
    whole, net = data(name), Net(data(name))
    bad = memoryview(stretched(whole, 0.1))
    scales = measured(bad, codes(net, scenes(2, 200)[0]), runtime)
    repaired = rescale(Net(bad), groups(Net(bad)), scales)
    twin, frames = float_twin(whole), codes(net, scenes(3, 100)[0])
    before, after, well = (sqnr(bytes(model), twin, frames, runtime) for model in (bad, repaired, whole))
    assert (before < 10).all(), "it was not bad"
    # of MAXIMUM the converter clips the side that never wins, which the smallest and largest value cannot know
    assert (after > well - (4.0 if name == "activations" else 1.5)).all(), (after, well)


def test_frames_of_another_light_have_their_own_ranges(name: str, runtime: Backend) -> None:
    """What is measured in the dark clips by day, and serves the dark better than the day's file."""
    whole, net = data(name), Net(data(name))
    twin = float_twin(whole)
    dark, day = (codes(net, scenes(3, 40, light)[0]) for light in (0.3, 1.0))
    night_file = rescale(net, groups(net), measured(whole, codes(net, scenes(2, 200, 0.3)[0]), runtime))
    by_night, by_day = (sqnr(night_file, twin, frames, runtime) for frames in (dark, day))
    assert (by_night > sqnr(bytes(whole), twin, dark, runtime) - 1.5).all()
    assert by_day.min() < 20


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_wider_and_narrower_ranges_run_and_cost_what_they_must(name: str, factor: float, runtime: Backend) -> None:
    net = Net(data(name))
    frames, twin = codes(net, scenes(3, 20)[0]), float_twin(data(name))
    well = sqnr(bytes(data(name)), twin, frames, runtime)
    found = sqnr(stretched(data(name), factor), twin, frames, runtime)
    # one bit less at each tensor costs 6 dB; clipping at half the range costs more, and is not noise
    assert (found > well - 9).all() if factor > 1 else (found > 4).all(), (found, well)


def broken(net: Net, index: int, factor: float = 1.6) -> bytes:
    """One tensor takes another scale than its group; its readers are told, the operation that made it is not."""
    tensor = net.tensors[index]
    scale = Scale(float(tensor.scales[0]), int(tensor.zero_points[0]))
    alone = Group((index,), tensor.dtype, scale.scale, scale.zero_point, 0.0, 0.0)
    return rescale(net, [alone], [replace(scale, scale=factor * scale.scale)])


def joined(name: str) -> list[int]:
    """Positions of operations whose output must share its scale, or whose kernel demands one."""
    return [op.position for op in Net(data(name)).ops if op.name in ops.SAME | ops.FIXED]


RESCALED = {("litert", "LOGISTIC"), ("litert", "TANH"), ("tflite-runtime", "TANH")}
"""Runtime and operation that give the right answer at another scale than the specification's."""

RULES = [(name, position) for name in NAMES for position in joined(name)]


@pytest.mark.parametrize(("name", "position"), RULES)
def test_a_broken_rule_is_noticed(name: str, position: int, runtime: Backend) -> None:
    net = Net(data(name))
    (index,) = net.ops[position].outputs[:1]
    frames, twin = codes(net, scenes(3, 5)[0]), float_twin(data(name))
    assert sqnr(bytes(data(name)), twin, frames, runtime, [index])[0] > 20
    try:
        found = sqnr(broken(net, index), twin, frames, runtime, [index])[0]
    except ModelError:
        return  # the kernel's own check
    rescales = (runtime.name, net.ops[position].name) in RESCALED
    assert rescales == bool(found > 12), (net.ops[position].shown, found)


@pytest.mark.parametrize(("name", "position"), RULES)
def test_what_copies_codes_has_one_group_and_a_demanded_scale_is_frozen(name: str, position: int) -> None:
    net = Net(data(name))
    op, found = net.ops[position], groups(net)
    place = {index: group for group in found for index in group.tensors}
    made = place[op.outputs[0]]
    if op.name in ops.FIXED:
        assert made.frozen == f"the kernel of {op.name} demands it"
    else:
        assert all(place[index] is made for index in op.inputs if index in place), op.shown


def test_operations_that_rescale_do_not_bind_their_ends() -> None:
    for name in set(NAMES) - {"remainder"}:  # there CONCATENATION binds what MEAN makes to what it reads
        net = Net(data(name))
        place = {index: number for number, group in enumerate(groups(net)) for index in group.tensors}
        for op in net.ops:
            if op.name in {"ADD", "SUB", "MUL", "MEAN", "HARD_SWISH", "LEAKY_RELU", "PRELU", "SUM"}:
                assert not {place[i] for i in op.inputs if i in place} & {place[i] for i in op.outputs}, op.shown


def test_heads_that_share_weights_have_a_bias_for_each_level() -> None:
    net = Net(data("fpnlite"))
    weights: dict[int, list[int]] = {}
    for op in net.ops:
        ends = biased(op)
        if ends is not None:
            weights.setdefault(ends[1], []).append(ends[2])
    shared = [biases for biases in weights.values() if len(biases) == 3]
    assert len(shared) == 3, "three convolutions on three levels"
    zeros = [biases for biases in shared if net.is_zero(net.tensors[biases[0]])]
    assert len(zeros) == 1
    assert len({net.tensors[index].buffer for index in zeros[0]}) == 1, "equal bytes are one buffer"
    assert len({float(net.tensors[index].scales[0]) for index in zeros[0]}) > 1, "of different meaning"


def test_zeros_that_are_shared_bind_no_scales_and_need_no_counting() -> None:
    net = Net(data("fpnlite"))
    levels = [op.inputs[0] for op in net.ops if op.name == "DEPTHWISE_CONV_2D"]
    place = {index: number for number, group in enumerate(groups(net)) for index in group.tensors}
    assert len({place[index] for index in levels}) == len(levels) == 3
    after = Net(memoryview(stretched(data("fpnlite"), 2.0)))
    assert all(after.is_zero(after.tensors[op.inputs[2]]) for op in after.ops if op.name == "DEPTHWISE_CONV_2D")


def test_a_bias_on_both_halves_of_a_split_is_counted_once() -> None:
    net = Net(data("shapes"))
    halves = [op for op in net.ops if op.name == "CONV_2D" and net.ops[2].outputs[0] <= op.inputs[0] <= 22]
    assert len(halves) == 2
    after = Net(memoryview(stretched(data("shapes"), 2.0)))
    for op in halves:
        before, now = net.tensors[op.inputs[2]], after.tensors[op.inputs[2]]
        real = [np.frombuffer(item.data, "<i4") * item.scales.astype(float) for item in (before, now)]
        np.testing.assert_allclose(real[0], real[1], atol=float(now.scales.max()))
        assert np.abs(real[0]).max() > 10 * now.scales.max()


class TestTapped:
    def test_what_is_computed_in_place_is_read_as_it_was(self, runtime: Backend) -> None:
        net, twin = Net(data("upwards")), memoryview(float_twin(data("upwards")))
        (add,) = [op for op in net.ops if op.name == "ADD"]
        (frame,) = codes(net, scenes(3, 1)[0])
        for model, picture in ((bytes(data("upwards")), frame), (bytes(twin), floats(net, frame))):
            first, other, total = Taps(tapped(memoryview(model), [*add.inputs, *add.outputs]), runtime).read(
                picture, [*add.inputs, *add.outputs]
            )
            assert not np.array_equal(first, total)
            if model == bytes(twin):
                np.testing.assert_allclose(np.maximum(first + other, 0), total, atol=1e-5)

    @pytest.mark.skipif("tflite-runtime" not in installed(), reason="the fault of one runtime")
    def test_without_it_tflite_runtime_gives_the_sum_for_its_first_part(self) -> None:
        net = Net(data("upwards"))
        (add,) = [op for op in net.ops if op.name == "ADD"]
        (frame,) = codes(net, scenes(3, 1)[0])
        first, total = Taps(bytes(data("upwards")), choose_backend("tflite-runtime")).read(
            frame, [add.inputs[0], add.outputs[0]]
        )
        np.testing.assert_array_equal(first, total)

    def test_the_old_outputs_stay_first_and_nothing_else_changes(self) -> None:
        net = Net(data("residual"))
        after = Net(memoryview(tapped(data("residual"), [40, net.outputs[0]])))
        assert after.outputs == (*net.outputs, 40)
        assert [op.inputs for op in after.ops] == [op.inputs for op in net.ops]
        assert tapped(data("residual"), net.outputs) == bytes(data("residual"))

    def test_a_tensor_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(ModelError, match="there is no tensor 10000 to read"):
            tapped(data("residual"), [10_000])


def renamed(position: int, name: str, code: int) -> memoryview:
    """The graph with one operation's code turned into another builtin."""
    packed = bytearray(data(name))
    net = Net(memoryview(bytes(packed)))
    table = net.graph.root.tables(1)[net.ops[position].table.integer(0, "I")]
    for slot, size in ((0, 1), (3, 4)):
        place = table.slot(slot)
        if place is not None:
            packed[place : place + size] = code.to_bytes(size, "little")
    return memoryview(bytes(packed))


def test_an_unknown_operation_is_refused_by_its_name_and_place() -> None:
    strange = renamed(1, "activations", 42)
    for change in (lambda: groups(Net(strange)), lambda: float_twin(strange)):
        with pytest.raises(ModelError, match=r"not known how to treat operation 1 \(DIV\): no range is changed"):
            change()


def test_every_group_can_be_read_in_the_twin_of_a_picture_that_is_recoded(runtime: Backend, tmp_path: Path) -> None:
    """uint8 pictures for an int8 graph: the converter puts a QUANTIZE in front, and its output has its own scale."""
    picture = tiny.Tensor("x", (1, 2, 2, 3), "uint8", (0.5,), (128,))
    inside = tiny.Tensor("y", (1, 2, 2, 3), "int8", (0.5,), (0,))
    graph = tiny.Tiny(
        [picture, inside, replace(inside, name="z", shape=(2, 2, 2, 3))],
        [tiny.Op(114, (0,), (1,)), tiny.Op(2, (1, 1), (2,), settings=(10, {0: 0}))],
        (0,),
        (2,),
    )
    packed = memoryview(graph.write(tmp_path / "m.tflite").read_bytes())
    twin = memoryview(float_twin(packed))
    assert [op.name for op in Net(twin).ops] == ["CAST", "CONCATENATION"]
    first, second = groups(Net(packed))
    assert first.frozen == second.frozen == "the graph's input: its range is the picture's"
    value = np.full((1, 2, 2, 3), 3.25, np.float32)
    for found in Taps(tapped(twin, [0, 1, 2]), runtime).read(value, [0, 1, 2]):
        assert set(found.ravel().tolist()) == {3.25}


def test_what_copies_codes_implies_no_activation_that_a_float_kernel_refuses(runtime: Backend, tmp_path: Path) -> None:
    """A float CONCATENATION with a fused activation is refused by the runtimes when it is loaded."""
    code = tiny.Tensor("x", (1, 2, 2, 4), "int8", (6 / 255,), (-128,))
    ends = [code, replace(code, name="y"), replace(code, name="z", shape=(1, 2, 4, 4))]
    graph = tiny.Tiny(ends, [tiny.Op(21, (0,), (1,)), tiny.Op(2, (0, 1), (2,), settings=(10, {0: 2}))], (0,), (2,))
    packed = memoryview(graph.write(tmp_path / "m.tflite").read_bytes())
    twin = float_twin(packed)
    assert [op.fused for op in Net(memoryview(twin)).ops] == ["", ""]
    (found,) = Taps(twin, runtime).read(np.full((1, 2, 2, 4), 7, np.float32), [2])
    assert found.shape == (1, 2, 4, 4)
    assert set(found.ravel().tolist()) == {6.0, 7.0}
