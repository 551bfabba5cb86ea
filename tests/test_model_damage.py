"""Damaged and hostile files: a card or one sentence, quickly, never anything else."""

from __future__ import annotations

import os
import random
import shutil
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.model import describe
from agent.model.anchors import METADATA
from agent.model.flat import Table
from agent.model.graph import Graph, mapped
from agent.records import ModelCard
from tests.cases import COCO
from tests.models import square
from tests.tiny import RESHAPE, Op, decoded, heads, normalization

DEADLINE_S = 2.0
HEAD = 832
"""Bytes in front of the first weights of the COCO SSD: the root table."""
TAIL = 4_150_736
"""Where its graph begins: everything behind the weights."""

EFFORT = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def survives(path: Path) -> bool:
    """Whether the file is described; anything but a card or a one-line ModelError in time fails the test.

    The time is the processor's, which a busy machine does not lengthen much.
    """
    begin = time.process_time()
    said: ModelCard | str
    try:
        said = describe(path)
    except ModelError as error:
        said = str(error)
    assert time.process_time() - begin < DEADLINE_S
    assert isinstance(said, ModelCard) or (said.startswith(f"{path}: ") and "\n" not in said and len(said) < 1000)
    return isinstance(said, ModelCard)


def rich() -> bytes:
    """A small model with everything in it that is read."""
    spec = msgspec.json.encode(square(3, 3, (0.5, 0.5)))
    metadata = {METADATA: spec, "TFLITE_METADATA": normalization([127.5], [127.5])}
    return _bytes(decoded(metadata=metadata).write)


def _bytes(write: Callable[[Path], Path]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "m.tflite").read_bytes()


RICH = rich()


class TestCuts:
    def test_the_coco_ssd_cut_anywhere(self, assets: Path, tmp_path: Path) -> None:
        whole = (assets / COCO).read_bytes()
        fixed = [0, 1, 4, 8, 100, 1000, 100_000, 2_000_000, 4_000_000, 4_180_000, len(whole) - 1]
        drawn = random.Random(0)  # noqa: S311  # a fixed sample of places
        places = [*fixed, *(drawn.randrange(TAIL, len(whole)) for _ in range(60))]
        path = tmp_path / "m.tflite"
        path.write_bytes(whole)
        survivors = []
        for size in sorted(places, reverse=True):
            with path.open("r+b") as file:
                file.truncate(size)
            if survives(path):
                survivors.append(size)
        graph_end = whole.rindex(b"PK\x03\x04")
        assert all(size >= graph_end - 512 for size in survivors), "only the labels behind the graph may be missing"

    def test_a_small_model_cut_everywhere(self, tmp_path: Path) -> None:
        path = tmp_path / "m.tflite"
        path.write_bytes(RICH)
        assert survives(path)
        for size in reversed(range(len(RICH))):
            os.truncate(path, size)
            survives(path)


EDITS = st.lists(
    st.tuples(st.sampled_from(["set", "insert", "cut"]), st.integers(0, 10**9), st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, place, piece in edits:
        at = place % (len(data) + 1)
        if kind == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        else:
            data = data[:at] + data[at + len(piece) :]
    return data


@given(EDITS)
@EFFORT
def test_a_small_model_edited_anywhere(tmp_path: Path, edits: list[tuple[str, int, bytes]]) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(edited(RICH, edits))
    survives(path)


def test_a_small_model_with_each_byte_changed(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(RICH)
    with path.open("r+b", buffering=0) as file:
        for at in range(len(RICH)):
            for value in (0xFF, RICH[at] ^ 1, RICH[at]):
                file.seek(at)
                file.write(bytes([value]))
                assert survives(path) or value != RICH[at]


@pytest.fixture(scope="module")
def scratch(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the COCO SSD that is edited in place."""
    return Path(shutil.copy(assets / COCO, tmp_path_factory.mktemp("damage") / "m.tflite"))


FLIPS = st.lists(
    st.tuples(st.integers(0, HEAD - 1) | st.integers(TAIL, 4_185_022), st.binary(min_size=1, max_size=4)),
    min_size=1,
    max_size=5,
)


@given(flips=FLIPS)
@EFFORT
def test_the_coco_ssd_with_its_graph_edited(assets: Path, scratch: Path, flips: list[tuple[int, bytes]]) -> None:
    with (assets / COCO).open("rb") as whole, scratch.open("r+b") as file:
        for place, piece in flips:
            file.seek(place)
            file.write(piece)
        file.truncate(4_185_023)
        file.flush()
        survives(scratch)
        for place, piece in flips:
            whole.seek(place)
            file.seek(place)
            file.write(whole.read(len(piece)))


@given(st.binary(max_size=40))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_options_of_the_operation(tmp_path: Path, options: bytes) -> None:
    number = describe(decoded(options).write(tmp_path / "m.tflite")).num_classes
    assert number is None or number > 0


def test_options_that_fold_into_each_other_cost_nothing(tmp_path: Path) -> None:
    """Forty vectors, each of two references to the one before: 2^40 values when unfolded."""
    vector, integer = 40, 4
    packed = bytes([2, 1, 1, integer, integer])
    for _ in range(40):
        packed += bytes([2, 5, 6, vector, vector])
    assert survives(decoded(packed + bytes([4, vector, 1])).write(tmp_path / "m.tflite"))


@pytest.mark.parametrize("kind", range(256))
def test_a_number_of_classes_of_any_type(tmp_path: Path, kind: int) -> None:
    packed = flexbuffers.Dumps({"num_classes": 7})
    assert packed[-4] == flexbuffers.Type.INT << 2
    assert survives(decoded(packed[:-4] + bytes([kind]) + packed[-3:]).write(tmp_path / "m.tflite"))


def test_a_list_longer_than_any_model_has_is_not_walked() -> None:
    def listed(count: int) -> Table:
        """A table with a list whose entries all point to one empty table behind it."""
        end = 24 + 4 * count
        entries = np.arange(4 * count, 0, -4, np.uint32).tobytes()
        table = struct.pack("<IHHHxxiII", 12, 6, 8, 4, 8, 4, count)
        return Table.root(memoryview(table + entries + struct.pack("<i", end - 4)))

    assert len(listed(1 << 16).tables(0)) == 1 << 16
    with pytest.raises(ModelError, match="a list of 65537 entries"):
        listed((1 << 16) + 1).tables(0)


class TestGraph:
    def test_operations_are_read_on_demand(self, tmp_path: Path) -> None:
        path = heads().write(tmp_path / "m.tflite")
        first, second = Graph(mapped(path)).operators
        assert (first.builtin, first.custom, first.inputs, first.outputs) == (RESHAPE, "", [0, 1], [2])
        assert (second.outputs, second.custom_options) == ([3], b"")

    def test_a_code_beyond_a_byte_is_the_larger_of_two(self, tmp_path: Path) -> None:
        path = heads(ops=[Op(200, (0, 1), (2,)), Op(RESHAPE, (0, 1), (3,))]).write(tmp_path / "m.tflite")
        assert [op.builtin for op in Graph(mapped(path)).operators] == [200, RESHAPE]

    def test_metadata_is_found_by_name(self, tmp_path: Path) -> None:
        path = heads(metadata={"a": b"one", "b": b"two"}).write(tmp_path / "m.tflite")
        graph = Graph(mapped(path))
        found = [graph.metadata(name) for name in ("a", "b", "c")]
        assert [bytes(item) if item is not None else None for item in found] == [b"one", b"two", None]

    def test_one_operation_with_its_inputs_a_million_times(self, tmp_path: Path) -> None:
        path = heads(ops=[Op(RESHAPE, [0] * 1_000_000, (2,))]).write(tmp_path / "m.tflite")
        assert survives(path), "nobody asked for them"
        with pytest.raises(ModelError, match="1000000 inputs or outputs in one place"):
            _ = Graph(mapped(path)).operators[0].inputs
