"""Two files compared without a picture."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest

from agent.cli import model_text
from agent.model import Diff, Net, compare, float_twin, groups, make, mapped, schema_of, tapped, with_activations
from tests.cases import COCO, edge_agent
from tests.models import demo_file
from tests.test_model_graphs import NAMES as GRAPHS
from tests.test_model_graphs import data
from tests.test_model_patch import wider


def patched(whole: memoryview) -> memoryview:
    return memoryview(make(whole, wider(groups(Net(whole))))[1])


def diff(one: memoryview, other: memoryview) -> Diff:
    return compare(Net(one), Net(other))


def text(found: Diff) -> str:
    shown = model_text.diff(found)
    assert max(map(len, shown)) <= model_text.COLUMNS
    jsonschema.validate(json.loads(msgspec.json.encode(found)), schema_of(Diff))
    return " ".join(" ".join(shown).split())


@pytest.mark.parametrize("name", GRAPHS)
def test_a_range_patch_is_told_as_one(name: str) -> None:
    found = diff(data(name), patched(data(name)))
    changed = {index for group in groups(Net(data(name))) if not group.frozen for index in group.tensors}
    assert found.kind == "range-patch"
    assert len(found.ranges) == len(changed)
    assert all(change.is_bias and change.means_the_same for change in found.constants)
    assert "B is a range patch of A: the weights are identical" in text(found)
    assert not {**found.ops_added, **found.ops_removed}
    assert not found.tensors_added + found.metadata


def test_the_coco_ssd_and_its_patch(assets: Path) -> None:
    whole = mapped(assets / COCO)
    found = diff(whole, patched(whole))
    assert (found.kind, found.constants_same, len(found.ranges)) == ("range-patch", 62, 62)
    assert len(found.constants) == 46, "that of the first convolution counts in the picture's scale"
    assert "... and 26 more" in text(found)


def test_a_file_and_itself() -> None:
    found = diff(data("residual"), data("residual"))
    assert (found.kind, found.verdict) == ("same", "B is A, byte for byte.")
    assert not found.constants + found.ranges
    assert "0 not" in text(found)


def test_one_weight_more_is_found_with_its_size() -> None:
    whole = bytearray(data("residual"))
    net = Net(data("residual"))
    (conv, *_) = [op for op in net.ops if op.name == "CONV_2D"]
    weights = net.tensors[conv.inputs[1]]
    place = weights.table_of_data.entries(0, 1)[0]
    before = np.frombuffer(whole, np.int8, 1, place)[0]
    step = -3 if before > 0 else 3
    whole[place] = int(np.int8(before + step).view(np.uint8))
    found = diff(data("residual"), memoryview(bytes(whole)))
    (change,) = found.constants
    assert found.kind == "weights"
    assert (change.changed, change.most_codes, change.is_bias) == (1, 3, False)
    assert change.most_real == pytest.approx(3 * float(weights.scales[0]), rel=1e-5)
    assert "B is the graph of A with other weights: 1 of" in text(found)


def test_a_bias_that_means_something_else_is_a_weight() -> None:
    whole = bytearray(data("residual"))
    net = Net(data("residual"))
    bias = net.tensors[net.ops[0].inputs[2]]
    place = bias.table_of_data.entries(0, 1)[0]
    whole[place + 2] ^= 1
    found = diff(data("residual"), memoryview(bytes(whole)))
    assert (found.kind, [change.means_the_same for change in found.constants]) == ("weights", [False])


def test_an_activation_that_was_put_back_and_another_output_are_another_graph(assets: Path) -> None:
    whole = mapped(assets / COCO)
    found = diff(whole, memoryview(with_activations(whole)))
    assert found.kind == "graph"
    assert found.ops_added == {"CONV_2D + RELU6": 14, "DEPTHWISE_CONV_2D + RELU6": 13}
    assert "more (--json" not in text(found)
    other = diff(data("residual"), memoryview(tapped(data("residual"), [40])))
    assert other.kind == "graph"
    assert "outputs" in text(other)
    assert not other.constants + other.ranges


def test_the_float_original_against_its_quantized_file() -> None:
    found = diff(data("residual", "float"), data("residual"))
    assert found.kind == "graph"
    weights = [change for change in found.constants if not change.is_bias and change.most_real is not None]
    assert weights
    assert all(change.changed is None and change.most_real < 0.1 for change in weights if change.most_real is not None)
    assert "not comparable" in text(found)


def test_two_bundled_forms_of_one_model() -> None:
    found = diff(memoryview(demo_file()), memoryview(demo_file("model.raw.tflite")))
    assert found.kind == "graph"
    assert "TFLite_Detection_PostProcess" in found.ops_removed
    assert "edge-agent.heads" in found.metadata
    text(found)


def test_metadata_alone() -> None:
    whole = data("residual")
    changed = memoryview(bytes(whole).replace(b"MLIR Converted.", b"MLIR converted."))
    found = diff(whole, changed)
    assert found.kind == "ranges"
    assert "graph, weights and ranges are identical" in text(found)
    assert "MLIR Converted. -> MLIR converted." in text(found)


def test_there_and_back_says_the_same(assets: Path) -> None:
    twin = memoryview(float_twin(data("fpnlite")))
    for one, other in ((data("fpnlite"), twin), (data("fpnlite"), patched(data("fpnlite")))):
        there, back = diff(one, other), diff(other, one)
        assert (there.kind, len(there.constants), len(there.ranges)) == (
            back.kind,
            len(back.constants),
            len(back.ranges),
        )
        assert (there.ops_added, there.tensors_removed) == (back.ops_removed, back.tensors_added)


class TestCommand:
    def test_two_files(self, tmp_path: Path) -> None:
        for name, packed in (("a", data("shapes")), ("b", patched(data("shapes")))):
            (tmp_path / f"{name}.tflite").write_bytes(packed)
        result = edge_agent("model", "diff", tmp_path / "a.tflite", tmp_path / "b.tflite")
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("verdict    B is a range patch of A: the weights are identical")
        told = edge_agent("model", "diff", "demo:", tmp_path / "b.tflite", "--json")
        assert msgspec.json.decode(told.stdout, type=Diff).kind == "graph"

    def test_the_one_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "b.tflite").write_bytes(bytes(data("shapes"))[:2000])
        result = edge_agent("model", "diff", "demo:", tmp_path / "b.tflite")
        assert result.returncode == 65
        assert f"{tmp_path / 'b.tflite'}: " in result.stderr
