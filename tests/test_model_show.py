"""Looking into model files: what is told of each, and that the rules about speed are what the runtimes do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

from agent.cli import model_text
from agent.errors import ModelError
from agent.infer import choose_backend
from agent.model import Group, Net, Page, groups, mapped, schema_of, show, speed
from agent.model.names import NAMES, name_of
from agent.model.ops import KNOWN
from tests.cases import COCO, edge_agent
from tests.models import demo_file
from tests.test_model_graphs import FOLDER
from tests.test_model_graphs import NAMES as GRAPHS
from tests.tiny import Op, decoded, heads

INVALID = {
    "0_subgraphs": "it has no graph",
    "invalid_model": "not a TFLite model",
    "test_model_broken": "not a TFLite model",
}


def every_file(assets: Path) -> list[Path]:
    return sorted((assets / "models").rglob("*.tflite")) + sorted(FOLDER.glob("*.tflite"))


def lines(page: Page) -> list[str]:
    lists = (model_text.ops, model_text.tensors, model_text.groups)
    return model_text.page(page, "model.tflite") + [line for listed in lists for line in listed(page)]


def test_every_file_has_a_page_that_fits_a_terminal_or_a_line_that_says_why(assets: Path) -> None:
    refused = {}
    for path in every_file(assets):
        try:
            page = show(path)
        except ModelError as error:
            refused[path.stem] = str(error)
            continue
        assert max(map(len, lines(page))) <= model_text.COLUMNS, path
        jsonschema.validate(json.loads(msgspec.json.encode(page)), schema_of(Page))
        assert page.sizes.file == path.stat().st_size
        assert len(page.ops) == len(Net(mapped(path)).ops)
        assert all(op.inputs == other.inputs for op, other in zip(page.ops, Net(mapped(path)).ops, strict=True))
    assert refused.keys() == INVALID.keys()
    for name, words in INVALID.items():
        assert words in refused[name]
        assert "\n" not in refused[name]


def test_the_coco_ssd(assets: Path) -> None:
    page = show(assets / COCO)
    assert page.detector is not None
    assert (page.detector.form, page.detector.num_classes, page.detector.anchors) == ("decoded", 90, 1917)
    assert (page.detector.labels, page.detector.mean) == (90, (127.5,))
    assert [output.role for output in page.outputs] == ["boxes", "classes", "scores", "count"]
    assert (len(page.groups), sum(bool(group.frozen) for group in page.groups)) == (50, 2)
    assert page.kind == "uint8 and float32 (constants uint8)"
    for words in ("TOCO", "6 of 6 operation codes", "no signature", "27 RELU6 left out", "47 uint8", "2 CONCAT", "zip"):
        assert any(words in said for said in page.quirks), words
    assert not any("no TFLite metadata" in said for said in page.quirks)
    text = "\n".join(lines(page))
    for words in ("SSD, boxes decoded", "1917 anchors", "50 groups", "61 of 64 operations by XNNPACK in LiteRT, 0 in"):
        assert words in " ".join(text.split()), words
    assert text.count("(RELU6 implied)") == 27


def test_the_demo_model_has_none_of_the_old_habits(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(demo_file())
    page = show(path)
    assert page.quirks == ("has no TFLite metadata: labels and normalization have to be given",)
    assert page.description == "MLIR Converted."
    weights = next(tensor for tensor in page.tensors if tensor.scales and tensor.scales.count > 1)
    assert weights.scales is not None
    assert (weights.scales.per, weights.role) == ("channel", "constant")
    assert weights.scales.low is None


def test_raw_heads_are_told_with_their_anchors(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(demo_file("model.raw.tflite"))
    found = show(path).detector
    assert found is not None
    assert (found.form, found.anchors, found.num_classes) == ("raw", 4032, 6)
    assert sum(int(line.split()[0]) * int(line.split()[2]) * int(line.split()[-1]) for line in found.maps) == 4032


def test_groups_are_those_that_a_patch_has(assets: Path) -> None:
    page = show(assets / COCO)
    for told, group in zip(page.groups, groups(Net(mapped(assets / COCO))), strict=True):
        assert (told.tensors, told.scale, told.zero_point, told.frozen) == (
            group.tensors,
            group.scale,
            group.zero_point,
            group.frozen,
        )
        assert all(page.tensors[index].group == told.number for index in told.tensors)


@pytest.mark.parametrize(
    "name", ["mediapipe_face_detector_quantized", "ssd_mobilenet_v1_coco_quant_postprocess_segment"]
)
def test_a_file_for_the_edge_tpu_is_told_and_says_that_it_cannot_be_looked_into(assets: Path, name: str) -> None:
    (path,) = (assets / "models" / "edgetpu").glob(f"{name}*")
    page = show(path)
    assert any("compiled for the Edge TPU" in said for said in page.quirks)
    assert "compiled for the Edge TPU" in page.no_groups
    assert any("compiled for the Edge TPU already" in line for line in lines(page))


def test_a_model_that_is_no_detector_is_told_with_the_reason(assets: Path) -> None:
    page = show(assets / "models" / "invalid" / "add_quantized_int8.tflite")
    assert page.detector is None
    assert page.not_detector.startswith("is no SSD detector: ")
    assert len(page.groups) == 2


def test_names_that_would_move_a_cursor_are_made_harmless(tmp_path: Path) -> None:
    tiny = heads(description="made\x1b[2Jby")
    tiny = replace(tiny, tensors=[replace(item, name=f"\x1b]0;{item.name}\n") for item in tiny.tensors])
    page = show(tiny.write(tmp_path / "m.tflite"))
    assert all(line.isprintable() for line in lines(page))
    assert "made?[2Jby" in page.description


def test_an_operation_of_many_inputs_keeps_to_its_columns(tmp_path: Path) -> None:
    tiny = heads(ops=[Op(2, (0,) * 300, (2,))])
    assert max(map(len, lines(show(tiny.write(tmp_path / "m.tflite"))))) == model_text.COLUMNS


def test_an_operation_of_unknown_number_or_name(tmp_path: Path) -> None:
    page = show(decoded(custom="Un\nknown").write(tmp_path / "m.tflite"))
    assert page.ops[0].name == "Un?known"
    assert page.ops[0].edge_tpu == "not among its operations"
    assert name_of(4000, "") == "builtin 4000"


def test_the_names_are_those_of_the_schema() -> None:
    generated: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    theirs = {code: name for name, code in vars(generated.BuiltinOperator).items() if not name.startswith("_")}
    assert {code: theirs[code] for code in NAMES} == NAMES
    assert all(code in NAMES for code, name in theirs.items() if not name.startswith("STABLEHLO") and code < 160)
    assert set(KNOWN) <= set(NAMES.values())


MISSED = {
    "face_mask_detection_float": {"RESHAPE", "CONCATENATION"},
    "automl_traffic_lstm_ssd_quant": {"MUL", "ADD", "SPLIT"},
    "remainder.float": {"SLICE"},
    "remainder.int8": {"SLICE"},
}
"""Operations on the list that a runtime keeps for itself: open or odd shapes, five inputs, scales far apart."""


def handed_over(path: Path, backend: str) -> set[int]:
    """Positions of the operations that the runtime really gave to a delegate."""
    runtime = choose_backend(backend).module.Interpreter(model_path=str(path))
    runtime.allocate_tensors()
    net = Net(mapped(path))
    made = {index: op for op in net.ops for index in op.outputs}
    covered: set[int] = set()
    for node in runtime._get_ops_details():
        if "elegate" not in node["op_name"].lower():
            continue
        ends, ahead = set(map(int, node["inputs"])), list(map(int, node["outputs"]))
        while ahead:
            op = made.get(ahead.pop())
            if op is not None and op.position not in covered:
                covered.add(op.position)
                ahead += [index for index in op.inputs if index not in ends]
    return covered


def test_the_rule_about_xnnpack_is_what_the_runtimes_do(assets: Path, backend: str) -> None:
    runnable = [assets / COCO, *(assets / "models").glob("*float.tflite"), *FOLDER.glob("*.tflite")]
    runnable += [assets / "models" / "automl_traffic_lstm_ssd_quant.tflite", *(assets / "models").glob("blaze*")]
    for path in runnable:
        net, real = Net(mapped(path)), handed_over(path, backend)
        told = {op.position for op in net.ops if speed.by_xnnpack(net, op, quantized=backend == "litert")}
        if backend == "tflite-runtime" and not real and told:
            assert any(op.name == "SHAPE" for op in net.ops), path
            continue  # it hands nothing over where sizes are open
        assert not real - told, [net.ops[position].shown for position in real - told]
        missed = {net.ops[position].name for position in told - real}
        assert missed <= MISSED.get(path.stem, set()), path


class TestCommand:
    def test_a_page_its_lists_and_its_json(self) -> None:
        path = FOLDER / "fpnlite.int8.tflite"
        short, whole = (edge_agent("model", "show", path, *more) for more in ((), ("--all",)))
        assert short.returncode == whole.returncode == 0, short.stderr + whole.stderr
        assert whole.stdout.startswith(short.stdout)
        assert len(short.stdout.splitlines()) < 25 < len(whole.stdout.splitlines())
        told = msgspec.json.decode(edge_agent("model", "show", path, "--json").stdout, type=Page)
        assert told == show(path)

    def test_the_demo_bundle_and_a_bundle_by_path(self, tmp_path: Path) -> None:
        from agent import embedded

        by_name = edge_agent("model", "show", "demo:", "--json").stdout
        assert by_name == edge_agent("model", "show", embedded.read().path, "--json").stdout
        assert msgspec.json.decode(by_name, type=Page).sizes.file == len(demo_file())

    def test_the_schemas_are_those_in_the_docs(self) -> None:
        docs = Path(__file__).parent.parent / "docs"
        for verb in ("show", "diff"):
            printed = edge_agent("model", verb, "--schema").stdout
            assert printed == (docs / "schemas" / f"model-{verb}.json").read_text()

    @pytest.mark.parametrize("name", ["no.tflite", "", "text.tflite", "bad.bundle"])
    def test_what_cannot_be_read_is_one_line_and_65(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "text.tflite").write_text("no model at all")
        (tmp_path / "bad.bundle").write_text("no archive at all")
        result = edge_agent("model", "show", tmp_path / name)
        assert result.returncode == 65
        assert result.stderr.startswith(f"edge-agent: {tmp_path / name}".rstrip("/"))
        assert result.stderr.count("\n") == 1

    def test_without_a_file_it_says_what_to_name(self) -> None:
        result = edge_agent("model", "show")
        assert result.returncode == 2
        assert "name a .tflite file or a .bundle" in result.stderr


def test_a_group_without_bounds_is_told_as_none() -> None:
    told = show(FOLDER / "residual.int8.tflite").groups
    assert {(group.floor, group.ceiling) for group in told} == {(None, None), (0.0, 6.0)}
    assert isinstance(groups(Net(mapped(FOLDER / "residual.int8.tflite")))[0], Group)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_scale_that_is_no_number_costs_a_sentence(tmp_path: Path, name: str) -> None:
    packed = bytearray((FOLDER / f"{name}.int8.tflite").read_bytes())
    net = Net(memoryview(bytes(packed)))
    quantization = net.tensors[net.ops[0].outputs[0]].table.table(4)
    assert quantization is not None
    place = quantization.entries(2, 4)[0]
    for value in (0.0, -1.0, np.nan, np.inf):
        packed[place : place + 4] = np.float32(value).tobytes()
        path = tmp_path / "m.tflite"
        path.write_bytes(packed)
        assert "has the scale" in show(path).no_groups
        assert "\n" not in "".join(lines(show(path)))
