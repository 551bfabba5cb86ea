"""Damaged and hostile files, for all that reads more than a card: a result or a one-line ModelError, never more."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.model import Net, Scale, apply, compare, float_twin, groups, make, show, tapped, with_activations
from tests.test_model_damage import EDITS, RICH, edited
from tests.test_model_graphs import NAMES as GRAPHS
from tests.test_model_graphs import data
from tests.tiny import Op, Tensor, Tiny, heads

QUANTIZE, DEQUANTIZE, CONCATENATION, CONV_2D, PACK, RELU = 114, 6, 2, 3, 83, 19

EFFORT = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def patch(whole: memoryview) -> None:
    found = groups(Net(whole))
    made, _ = make(whole, [None if group.frozen else Scale(1.7 * group.scale, group.zero_point) for group in found])
    apply(whole, made)


READERS: dict[str, Callable[[memoryview], object]] = {
    "groups": lambda whole: groups(Net(whole)),
    "twin": float_twin,
    "patch": patch,
    "activations": with_activations,
    "tapped": lambda whole: tapped(whole, [0, 1, 2]),
    "compare": lambda whole: (compare(Net(whole), Net(data("residual"))), compare(Net(data("residual")), Net(whole))),
}


def survives(packed: bytes, folder: Path) -> set[str]:
    """Who got through; anything but a ModelError of one line fails the test."""
    path = folder / "m.tflite"
    path.write_bytes(packed)
    through = set()
    for name, read in {**READERS, "show": lambda _: show(path)}.items():
        said = ""
        try:
            read(memoryview(packed))
            through.add(name)
        except ModelError as error:
            said = str(error)
        assert "\n" not in said
        assert len(said) < 1000
    return through


@cache
def structure(name: str) -> tuple[bytes, list[int]]:
    """A graph, and its bytes that are no constant's: where damage is understood and not only carried along."""
    whole = bytes(RICH if name == "rich" else data(name))
    free = np.ones(len(whole), bool)
    for tensor in Net(memoryview(whole)).tensors:
        start, count = tensor.table_of_data.entries(0, 1)
        free[start : start + count] = False
    return whole, np.flatnonzero(free).tolist()


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@given(st.sampled_from(["rich", *GRAPHS]), EDITS)
@EFFORT
def test_edited_anywhere(tmp_path: Path, name: str, edits: list[tuple[str, int, bytes]]) -> None:
    survives(edited(structure(name)[0], edits), tmp_path)


WORDS = [
    b"\xff\xff\xff\xff",
    bytes(4),
    b"\1\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\0\0\x80\x7f",
    b"\0\0\xc0\x7f",
    b"\x80\0\0\0",
]


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@given(st.sampled_from(["rich", *GRAPHS]), st.integers(0, 10**6), st.sampled_from(WORDS))
@EFFORT
def test_a_word_of_its_structure_replaced(tmp_path: Path, name: str, place: int, word: bytes) -> None:
    whole, free = structure(name)
    at = free[place % len(free)] & ~3
    survives(whole[:at] + word + whole[at + 4 :], tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["rich", *GRAPHS])
def test_many_bytes_of_its_structure_one_by_one(tmp_path: Path, name: str) -> None:
    whole, free = structure(name)
    drawn = random.Random(1)  # noqa: S311  # a fixed sample of places
    for at in drawn.sample(free, min(len(free), 400)):
        for value in (0xFF, 0, whole[at] ^ 1):
            survives(whole[:at] + bytes([value]) + whole[at + 1 :], tmp_path)


@pytest.mark.parametrize("name", GRAPHS)
def test_cut_anywhere(tmp_path: Path, name: str) -> None:
    whole = bytes(data(name))
    assert len(survives(whole, tmp_path)) == len(READERS) + 1
    for size in range(0, len(whole) - 1, 1499):
        assert survives(whole[:size], tmp_path) <= {"tapped"}, "it reads no operation"


CODE = Tensor("x", (1, 4, 4, 4), "int8", (0.5,), (0,))


def tiny(tensors: list[Tensor], ops: list[Op]) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        graph = Tiny(tensors, ops, (0,), (len(tensors) - 1,))
        return graph.write(Path(folder) / "m.tflite").read_bytes()


@pytest.mark.parametrize("recode", [QUANTIZE, DEQUANTIZE])
def test_recoding_in_a_circle_ends(tmp_path: Path, recode: int) -> None:
    one, other = replace(CODE, name="y"), replace(CODE, name="z")
    ops = [Op(recode, (1,), (2,)), Op(recode, (2,), (1,)), Op(CONCATENATION, (1,), (2,))]
    circle = tiny([CODE, one, other], ops)
    survives(circle, tmp_path)
    if recode == DEQUANTIZE:
        with pytest.raises(ModelError, match="is made of itself"):
            float_twin(memoryview(circle))


@pytest.mark.parametrize(
    "op", [Op(CONV_2D, (0,), (1,)), Op(QUANTIZE, (), (1,)), Op(PACK, (0,), ()), Op(PACK, (-1,), (1,))]
)
def test_an_operation_without_its_ends_is_named(tmp_path: Path, op: Op) -> None:
    packed = tiny([CODE, replace(CODE, name="y")], [op])
    assert not survives(packed, tmp_path)
    with pytest.raises(ModelError, match=r"operation 0 \(\w+\) lacks an input or an output"):
        groups(Net(memoryview(packed)))


def test_a_bias_shared_with_an_operation_that_keeps_its_scale_is_not_recounted_behind_its_back() -> None:
    weights = Tensor("w", (4, 1, 1, 4), "int8", (0.1,), (0,), bytes(range(16)))
    bias = Tensor("b", (4,), "int32", (0.1,), (0,), np.arange(1, 5, dtype=np.int32).tobytes())
    free, made = (replace(CODE, name=name, scale=(0.25,)) for name in "fm")
    packed = tiny(
        [CODE, weights, bias, free, made, replace(made, name="n")],
        [Op(RELU, (0,), (3,)), Op(CONV_2D, (3, 1, 2), (4,)), Op(CONV_2D, (0, 1, 2), (5,))],
    )
    with pytest.raises(ModelError, match=r"operation 2 \(CONV_2D\): shares its bias with another operation"):
        patch(memoryview(packed))


@pytest.mark.parametrize(("scale", "data"), [(0.1, b"\1"), (0.2, b"\1"), (0.2, b"\0")])
def test_constants_that_share_their_bytes_have_a_twin_only_where_they_mean_the_same(scale: float, data: bytes) -> None:
    one = Tensor("w", (16,), "int8", (0.1,), (0,), 16 * data)
    other = replace(one, name="v", scale=(scale,))
    packed = bytearray(tiny([CODE, one, other, replace(CODE, name="y")], [Op(CONCATENATION, (0,), (3,))]))
    tensors = Net(memoryview(bytes(packed))).tensors
    place = tensors[2].table.slot(2)
    assert place is not None
    packed[place : place + 4] = tensors[1].buffer.to_bytes(4, "little")
    if scale == 0.1 or data == b"\0":
        twin = Net(memoryview(float_twin(memoryview(bytes(packed)))))
        assert bytes(twin.tensors[1].data) == bytes(twin.tensors[2].data)
    else:
        with pytest.raises(ModelError, match="'v' and 'w' share their bytes, and mean different values"):
            float_twin(memoryview(bytes(packed)))


def test_tensors_that_claim_one_large_constant_again_and_again(tmp_path: Path) -> None:
    """Six hundred buffers of 64 KB that are one: what is read of them must not be 40 MB."""
    shared = Tensor("w", (1 << 16,), "int8", (0.1,), (0,), bytes(1 << 16))
    small = [replace(shared, name=f"w{number}", data=b"\1", shape=(1,)) for number in range(600)]
    whole = bytearray(tiny([CODE, shared, *small], [Op(CONCATENATION, (0,), (0,))]))
    buffers = Net(memoryview(bytes(whole))).graph.root.tables(4)
    target = buffers[2].slot(0)
    assert target is not None
    start = Net(memoryview(bytes(whole))).tensors[1].table_of_data.entries(0, 1)[0] - 4
    for buffer in buffers[3:]:
        place = buffer.slot(0)
        if place is not None and place < start:
            whole[place : place + 4] = (start - place).to_bytes(4, "little")
    packed = bytes(whole)
    with pytest.raises(ModelError, match="tells more than the file holds"):
        _ = Net(memoryview(packed)).tensors
    assert not survives(packed, tmp_path)


def test_a_file_of_raw_heads_without_weights_gets_through(tmp_path: Path) -> None:
    assert "show" in survives(heads().write(tmp_path / "tiny.tflite").read_bytes(), tmp_path)


def convolution() -> bytes:
    """Range [0, 6] and options without an activation: what TOCO leaves out is to be written behind the end."""
    weights = Tensor("w", (4, 1, 1, 4), "int8", (0.1,), (0,), bytes(range(16)))
    ends = [CODE, weights, replace(CODE, name="y", scale=(6 / 255,), zero_point=(-128,))]
    return tiny(ends, [Op(CONV_2D, (0, 1), (2,), settings=(1, {1: 1, 2: 1}))])


def test_an_activation_that_has_no_place_in_the_options_is_written_anew() -> None:
    packed = memoryview(convolution())
    (before,), (after,) = Net(packed).ops, Net(memoryview(with_activations(packed))).ops
    assert (before.fused, after.fused) == ("", "RELU6")
    options, now = before.table.table(4), after.table.table(4)
    assert options is not None
    assert now is not None
    assert [now.integer(slot, "i") for slot in (1, 2)] == [options.integer(slot, "i") for slot in (1, 2)] == [1, 1]


@pytest.mark.parametrize(("at", "value"), [(0, 5), (0, 9), (2, 3), (2, 60_000)])
def test_options_that_describe_themselves_wrongly_are_refused(tmp_path: Path, at: int, value: int) -> None:
    packed = bytearray(convolution())
    options = Net(memoryview(bytes(packed))).ops[0].table.table(4)
    assert options is not None
    place = options.place - int.from_bytes(packed[options.place : options.place + 4], "little", signed=True)
    packed[place + at : place + at + 2] = value.to_bytes(2, "little")
    survives(bytes(packed), tmp_path)
    with pytest.raises(ModelError, match="damaged model"):
        with_activations(memoryview(bytes(packed)))
