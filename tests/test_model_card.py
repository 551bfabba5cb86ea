"""What a file is said to be, and what it is refused for."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from flatbuffers import flexbuffers

from agent.errors import ModelError
from agent.model import describe
from agent.model.anchors import METADATA
from agent.model.card import short
from agent.records import ModelCard
from tests.cases import COCO
from tests.models import square
from tests.tiny import CUSTOM, POSTPROCESS, RESHAPE, Op, Tensor, Tiny, decoded, heads, normalization

REFUSED = {
    "automl_traffic_lstm_ssd_quant.tflite": "takes 3 inputs (normalized_input_image_tensor, raw_inputs/init_lstm_c, "
    "raw_inputs/init_lstm_h); only models with one picture as input can run",
    "blazeface_front_128_fp16.tflite": "is no SSD detector: none of its outputs (regressors [1, 896, 16], "
    "classificators [1, 896, 1]) has 4 numbers a box",
    "edgetpu/mediapipe_face_detector_quantized_edgetpu.tflite": "is no SSD detector: none of its outputs "
    "(regressors/concat [1, 896, 16], classificators/concat [1, 896, 1]) has 4 numbers a box; "
    "besides, the file is compiled for the Edge TPU",
    "edgetpu/ssd_mobilenet_v1_coco_quant_postprocess_segment_3_of_4_edgetpu.tflite": "takes 4 inputs (",
    "invalid/0_subgraphs.tflite": "not a usable model: it has no graph",
    "invalid/add_quantized_int8.tflite": "is no SSD detector: its outputs are output [1, 8, 8, 3]; needed are boxes",
    "invalid/custom_sinh.tflite": "input 'x' is [1]; a picture is [1, height, width, 1 or 3]",
    "invalid/empty_model.tflite": "takes 0 inputs (none); only models with one picture as input can run",
    "invalid/invalid_model.tflite": "not a TFLite model: identifier b' is ' where 'TFL3' should be",
    "invalid/segment_sum_invalid_buffer.tflite": "input 'X' is [2, 840]; a picture is [1, height, width, 1 or 3]",
    "invalid/test_model_broken.tflite": r"not a TFLite model: identifier b'\x00\x00\x0e\x00' where 'TFL3' should be",
}
USABLE = {COCO, "models/face_mask_detection_float.tflite", "models/rfb320_face_float.tflite"} | {
    "models/face_mask_detection_float_with_signature.tflite"
}


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as refused:
        describe(path)
    assert refused.value.exit_code == 65
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


class TestRealFiles:
    @pytest.mark.parametrize(("name", "sentence"), REFUSED.items(), ids=lambda text: text[:40])
    def test_what_cannot_run_is_refused_with_the_reason(self, assets: Path, name: str, sentence: str) -> None:
        assert refusal(assets / "models" / name).startswith(sentence)

    def test_every_file_is_either_refused_or_usable(self, assets: Path) -> None:
        found = {str(path.relative_to(assets)) for path in (assets / "models").rglob("*.tflite")}
        assert found == USABLE | {f"models/{name}" for name in REFUSED}

    def test_edge_tpu_segment_says_what_it_was_compiled_for(self, assets: Path) -> None:
        (name,) = [name for name in REFUSED if "segment_3" in name]
        assert refusal(assets / "models" / name).endswith("; besides, the file is compiled for the Edge TPU")

    def test_coco_ssd(self, assets: Path) -> None:
        card = describe(assets / COCO)
        assert card.sha256 == "61d598093ed03ed41aa47c3a39a28ac01e960d6a810a5419b9a5016a1e9c469b"
        assert (card.size_bytes, card.description) == (4185023, "TOCO Converted.")
        assert (card.input.dtype, card.input.shape) == ("uint8", (1, 300, 300, 3))
        assert (card.input.scale, card.input.zero_point) == (0.0078125, 128)
        assert card.classes is not None
        assert card.count is not None
        outputs = [card.boxes.name, card.classes.name, card.scores.name, card.count.name]
        assert outputs == [POSTPROCESS, f"{POSTPROCESS}:1", f"{POSTPROCESS}:2", f"{POSTPROCESS}:3"]
        assert (card.num_classes, card.custom_ops, card.is_decoded) == (90, (POSTPROCESS,), True)
        assert list(card.embedded_labels) == (assets / "labels/labelmap_embedded.txt").read_text().splitlines()
        assert (card.mean, card.std, card.heads) == ((127.5,), (127.5,), None)

    @pytest.mark.parametrize(
        ("name", "shape", "boxes", "scores"),
        [
            ("face_mask_detection_float", (1, 260, 260, 3), "loc_branch_concat_1/concat", "cls_branch_concat_1/concat"),
            ("face_mask_detection_float_with_signature", (1, 260, 260, 3), "PartitionedCall:1", "PartitionedCall:0"),
            ("rfb320_face_float", (-1, 240, 320, 3), "Identity", "Identity_1"),
        ],
    )
    def test_raw_heads(self, assets: Path, name: str, shape: tuple[int, ...], boxes: str, scores: str) -> None:
        card = describe(assets / "models" / f"{name}.tflite")
        assert (card.input.dtype, card.input.shape) == ("float32", shape)
        assert (card.boxes.name, card.scores.name) == (boxes, scores)
        assert (card.is_decoded, card.count, card.num_classes, card.heads) == (False, None, None, None)


class TestPaths:
    def test_what_is_no_file_is_refused_with_the_mend(self, tmp_path: Path) -> None:
        loop, pipe, empty = tmp_path / "loop", tmp_path / "pipe", tmp_path / "empty"
        loop.symlink_to(loop)
        os.mkfifo(pipe)
        empty.touch()
        assert refusal(tmp_path / "absent") == "no such file; give a .tflite model"
        assert refusal(tmp_path) == "is a folder; give the .tflite file in it"
        assert refusal(loop) == "cannot be read: Too many levels of symbolic links"
        assert refusal(tmp_path / ("x" * 300)) == "cannot be read: File name too long"
        assert refusal(empty / "under") == "cannot be read: Not a directory"
        assert refusal(pipe) == "is a device or a pipe; give a .tflite file"
        assert refusal(Path("/dev/zero")) == "is a device or a pipe; give a .tflite file"
        assert refusal(empty) == "is empty; copy the model again"

    def test_a_file_shorter_than_its_head(self, tmp_path: Path) -> None:
        path = tmp_path / "model.tflite"
        for head in (b"T", b"\0\0\0\0TFL", b"\0\0\0\0TFL3", b"\xff\xff\xff\xffTFL3"):
            path.write_bytes(head)
            assert "model" in refusal(path)


def changed(**picture: object) -> Tiny:
    """The tiny heads with another picture."""
    tiny = heads()
    return replace(tiny, tensors=[replace(tiny.tensors[0], **picture), *tiny.tensors[1:]])  # type: ignore[arg-type]


class TestPicture:
    @pytest.mark.parametrize(
        ("picture", "sentence"),
        [
            ({"shape": (1, 2, 6)}, "input 'picture' is [1, 2, 6]; a picture is [1, height, width, 1 or 3]"),
            ({"shape": (2, 2, 6, 3)}, "input 'picture' is [2, 2, 6, 3]; a picture is"),
            ({"shape": (1, 2, 6, 4)}, "input 'picture' is [1, 2, 6, 4]; a picture is"),
            (
                {"shape": (1, -1, -1, 3)},
                "input 'picture' leaves its size open: [1, -1, -1, 3]; export it with one size",
            ),
            ({"shape": (1, 0, 6, 3)}, "input 'picture' leaves its size open"),
            ({"shape": (1, 2, 8193, 3)}, "input 'picture' is [1, 2, 8193, 3]; more than 8192 pixels a side"),
            ({"dtype": "int16"}, "input 'picture' is int16; uint8, int8 and float32 can run"),
            ({"dtype": "int64"}, "input 'picture' is int64; uint8, int8 and float32 can run"),
            ({"scale": (), "zero_point": ()}, "its input 'picture' is uint8 without one scale"),
            ({"scale": (0.0,)}, "its input 'picture' is uint8 without one scale"),
            ({"scale": (-1.0,)}, "its input 'picture' is uint8 without one scale"),
            ({"scale": (np.nan,)}, "its input 'picture' is uint8 without one scale"),
            ({"scale": (np.inf,)}, "its input 'picture' is uint8 without one scale"),
            ({"scale": (1.0, 1.0, 1.0), "zero_point": (0, 0, 0)}, "its input 'picture' is uint8 without one scale"),
            ({"zero_point": (256,)}, "damaged model: zero point 256 of its input 'picture'"),
            ({"zero_point": (-(2**60),)}, f"damaged model: zero point {-(2**60)} of its input"),
            ({"shape": (1,) * 9}, "damaged model: tensor 0 has 9 axes"),
            ({"name": "x" * 20_000}, "damaged model: a name of 20000 bytes"),
        ],
        ids=str,
    )
    def test_no_picture_is_refused(self, tmp_path: Path, picture: dict[str, object], sentence: str) -> None:
        assert refusal(changed(**picture).write(tmp_path / "m.tflite")).startswith(sentence)

    def test_control_characters_of_a_name_reach_no_terminal(self, tmp_path: Path) -> None:
        said = refusal(changed(name="a\x1b[31m\nb", dtype="int16").write(tmp_path / "m.tflite"))
        assert said.startswith("input 'a?[31m?b' is int16")

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
    def test_what_can_run_is_described(self, tmp_path: Path, dtype: str) -> None:
        card = describe(heads(dtype=dtype, scale=0.25, zero_point=3).write(tmp_path / "m.tflite"))
        assert (card.input.name, card.input.shape, card.input.dtype) == ("picture", (1, 2, 6, 3), dtype)
        assert (card.input.scale, card.input.zero_point) == ((0.0, 0) if dtype == "float32" else (0.25, 3))
        assert (card.boxes.name, card.scores.name, card.description) == ("boxes", "scores", "tiny")

    def test_too_many_inputs_are_not_even_counted_out(self, tmp_path: Path) -> None:
        path = heads(inputs=[0] * 100_000).write(tmp_path / "m.tflite")
        assert refusal(path) == "damaged model: 100000 inputs or outputs in one place"
        path = heads(inputs=[0] * 50).write(tmp_path / "n.tflite")
        assert len(refusal(path)) < 200

    def test_an_input_that_is_not_there(self, tmp_path: Path) -> None:
        for index in (9, -1):
            path = heads(inputs=(index,)).write(tmp_path / "m.tflite")
            assert refusal(path) == f"damaged model: tensor {index} of 4"


def ends(*outputs: Tensor) -> Tiny:
    """A picture, and these outputs."""
    picture = Tensor("picture", (1, 2, 6, 3), "uint8", (0.5,), (0,))
    return Tiny([picture, *outputs], [Op(RESHAPE, (0,), (1,))], (0,), range(1, len(outputs) + 1))


class TestRawHeads:
    def test_boxes_are_known_by_shape_whatever_the_order(self, tmp_path: Path) -> None:
        boxes, scores = Tensor("a", (1, 9, 4)), Tensor("b", (1, 9, 3))
        for tiny in (ends(boxes, scores), ends(scores, boxes)):
            card = describe(tiny.write(tmp_path / "m.tflite"))
            assert (card.boxes.name, card.scores.name) == ("a", "b")

    def test_boxes_with_four_classes_are_known_by_name(self, tmp_path: Path) -> None:
        for name in ("raw/BoxEncodings", "mbox_loc", "bbox_regression"):
            boxes, scores = Tensor(name, (1, 9, 4)), Tensor("class_predictions", (1, 9, 4))
            for tiny in (ends(boxes, scores), ends(scores, boxes)):
                assert describe(tiny.write(tmp_path / "m.tflite")).boxes.name == name

    @pytest.mark.parametrize("names", [("Identity", "Identity_1"), ("box_scores", "box_coordinates")])
    def test_where_the_names_do_not_tell_it_is_refused(self, tmp_path: Path, names: tuple[str, str]) -> None:
        path = ends(*(Tensor(name, (1, 9, 4)) for name in names)).write(tmp_path / "m.tflite")
        assert refusal(path) == (
            f"cannot tell boxes from scores: both outputs ({names[0]} [1, 9, 4], {names[1]} [1, 9, 4]) have 4 numbers; "
            "name one of them boxes"
        )

    @pytest.mark.parametrize(
        ("outputs", "sentence"),
        [
            ([], "is no SSD detector: its outputs are none; needed are boxes and class scores"),
            ([("a", (1, 9, 4))], "is no SSD detector: its outputs are a [1, 9, 4]; needed are boxes and class scores"),
            ([("a", (1, 9, 4)), ("b", (1, 9, 2)), ("c", (1,))], "is no SSD detector: its outputs are a [1, 9, 4], b "),
            (
                [("a", (1, 9, 5)), ("b", (1, 9, 2))],
                "is no SSD detector: none of its outputs (a [1, 9, 5], b [1, 9, 2])",
            ),
            ([("a", (9, 4)), ("b", (9, 2))], "is no SSD detector: its boxes are [9, 4], not [1, anchors, numbers]"),
            ([("a", (1, 9, 4)), ("b", (9,))], "is no SSD detector: its scores are [9], not [1, anchors, numbers]"),
            (
                [("a", (1, 9, 4), "int64"), ("b", (1, 9, 2))],
                "its boxes are int64; uint8, int8, int16 and float32 can be",
            ),
            ([("a", (1, 9, 4)), ("b", (1, 9, 2), "uint8")], "its scores 'b' is uint8 without one scale"),
            ([("a", (1, 9, 4), "int8", (np.nan,), (0,)), ("b", (1, 9, 2))], "its boxes 'a' is int8 without one scale"),
            (
                [("a", (1, 9, 4), "int8", (1.0,), (200,)), ("b", (1, 9, 2))],
                "damaged model: zero point 200 of its boxes",
            ),
        ],
        ids=str,
    )
    def test_what_is_no_pair_of_heads_is_refused(self, tmp_path: Path, outputs: list, sentence: str) -> None:
        assert refusal(ends(*(Tensor(*output) for output in outputs)).write(tmp_path / "m.tflite")).startswith(sentence)


class TestDecoded:
    def test_roles_come_from_the_operation_not_from_the_order(self, tmp_path: Path) -> None:
        for order in ((4, 5, 6, 7), (6, 4, 7, 5)):
            card = describe(decoded(outputs=order).write(tmp_path / "m.tflite"))
            found = (card.boxes, card.classes, card.scores, card.count)
            assert [tensor.index for tensor in found if tensor] == [4, 5, 6, 7]
            assert (card.num_classes, card.custom_ops) == (1, (POSTPROCESS,))

    def test_an_answer_that_ends_inside_is_refused(self, tmp_path: Path) -> None:
        path = decoded(outputs=(4, 5, 6)).write(tmp_path / "m.tflite")
        assert refusal(path) == f"does not give its detection count: output 'found:3' of {POSTPROCESS} ends inside"

    def test_three_outputs_are_too_few(self, tmp_path: Path) -> None:
        path = decoded(ops=[Op(CUSTOM, (1, 2, 3), (4, 5, 6), POSTPROCESS)]).write(tmp_path / "m.tflite")
        assert refusal(path) == f"its {POSTPROCESS} has 3 outputs where 4 are needed"

    def test_another_type_than_the_operation_gives_is_damage(self, tmp_path: Path) -> None:
        tiny = decoded()
        path = replace(tiny, tensors=[*tiny.tensors[:7], Tensor("n", (), "int32")]).write(tmp_path / "m.tflite")
        assert refusal(path) == f"damaged model: its detection count are int32; {POSTPROCESS} gives float32"

    @pytest.mark.parametrize(
        ("options", "number"),
        [
            (bytes(flexbuffers.Dumps({"a": 1, "num_classes": 7, "z": 2})), 7),
            (bytes(flexbuffers.Dumps({"num_classes": 0})), None),
            (bytes(flexbuffers.Dumps({"num_classes": -3})), None),
            (bytes(flexbuffers.Dumps({"num_classes": 10**9})), None),
            (bytes(flexbuffers.Dumps({"classes": 7})), None),
            (bytes(flexbuffers.Dumps([1, 2])), None),
            (b"", None),
            (b"\x01\x00\x28\x02\x28\x01", None),  # a vector that holds itself
            (b"\xff" * 32, None),
        ],
        ids=str,
    )
    def test_the_number_of_classes_is_read_or_left_open(
        self, tmp_path: Path, options: bytes, number: int | None
    ) -> None:
        assert describe(decoded(options).write(tmp_path / "m.tflite")).num_classes == number

    def test_an_operation_code_that_is_not_there(self, tmp_path: Path) -> None:
        path = heads().write(tmp_path / "m.tflite")
        data = path.read_bytes()
        # both codes are RESHAPE; the second operation's index 1 stands alone in its table
        damaged = [data[:at] + b"\x63" + data[at + 1 :] for at in range(len(data)) if data[at] == 1]
        sentences = set()
        for number, variant in enumerate(damaged):
            other = tmp_path / f"{number}.tflite"
            other.write_bytes(variant)
            try:
                describe(other)
            except ModelError as error:
                sentences.add(str(error).removeprefix(f"{other}: "))
        assert "damaged model: operation code 99 of 2" in sentences


class TestMetadata:
    def test_anchors_that_the_file_carries(self, tmp_path: Path) -> None:
        spec = square(3, 3, (0.5, 0.5), score_activation="softmax", background=True)
        path = heads(metadata={"other": b"x", METADATA: msgspec.json.encode(spec)}).write(tmp_path / "m.tflite")
        assert describe(path).heads == spec

    @pytest.mark.parametrize(
        "packed",
        [
            b"{",
            b"\xff\xfe",
            b'{"\x80": 1}',
            b"[]",
            b'{"maps": []}',
            b'{"maps": [{"rows": 100000, "cols": 100000, "sizes": [[1, 1]]}]}',
            b'{"maps": [{"rows": 1, "cols": 1, "sizes": [[1e999, 1]]}]}',
            b'{"maps": [{"rows": 1, "cols": 1, "sizes": [[1]]}]}',
            b'{"x": ' + b"[" * 100_000,
        ],
        ids=lambda packed: packed[:60],
    )
    def test_damaged_anchors_are_refused_in_one_sentence(self, tmp_path: Path, packed: bytes) -> None:
        said = refusal(heads(metadata={METADATA: packed}).write(tmp_path / "m.tflite"))
        assert said.startswith(f"its metadata {METADATA!r} is damaged: ")

    def test_mean_and_std_of_the_picture(self, tmp_path: Path) -> None:
        packed = normalization([1.5, 2.5, 3.5], [4.0, 5.0, 6.0])
        card = describe(heads(metadata={"TFLITE_METADATA": packed}).write(tmp_path / "m.tflite"))
        assert (card.mean, card.std) == ((1.5, 2.5, 3.5), (4.0, 5.0, 6.0))

    def test_another_format_of_metadata_says_nothing(self, tmp_path: Path) -> None:
        packed = normalization([1.5], [4.0]).replace(b"M001", b"M999")
        assert describe(heads(metadata={"TFLITE_METADATA": packed}).write(tmp_path / "m.tflite")).mean == ()

    def test_damaged_metadata_is_refused(self, tmp_path: Path) -> None:
        packed = normalization([1.5] * 100, [4.0])
        path = heads(metadata={"TFLITE_METADATA": packed}).write(tmp_path / "m.tflite")
        assert refusal(path) == "damaged metadata: mean and std of 100 channels"
        path = heads(metadata={"TFLITE_METADATA": packed[:60]}).write(tmp_path / "n.tflite")
        assert refusal(path).startswith("damaged model: ")


def packed_labels(path: Path, files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> ModelCard:
    """The card of a tiny model with a zip archive behind it, as TFLite metadata has it."""
    heads().write(path)
    with zipfile.ZipFile(path, "a", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return describe(path)


class TestPackedLabels:
    def test_are_read_without_marks_and_carriage_returns(self, tmp_path: Path) -> None:
        for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            files = {"labels.txt": "\ufeffcat\r\nchien é\r\n".encode(), "other.json": b"{}"}
            assert packed_labels(tmp_path / "m.tflite", files, packing).embedded_labels == ("cat", "chien é")

    def test_none_or_two_files_leave_them_open(self, tmp_path: Path) -> None:
        assert packed_labels(tmp_path / "m.tflite", {"a.json": b"{}"}).embedded_labels == ()
        assert packed_labels(tmp_path / "m.tflite", {"a.txt": b"a", "b.txt": b"b"}).embedded_labels == ()

    def test_what_unfolds_without_end_is_not_read(self, tmp_path: Path) -> None:
        bomb = {"labels.txt": b"a\n" * (1 << 20)}
        assert packed_labels(tmp_path / "m.tflite", bomb).embedded_labels == ()
        for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            assert packed_labels(tmp_path / "m.tflite", {"labels.txt": b"cat"}, packing).embedded_labels == ()

    def test_damage_inside_the_archive_is_no_labels(self, tmp_path: Path) -> None:
        path = tmp_path / "m.tflite"
        packed_labels(path, {"labels.txt": bytes(range(256)) * 8})
        data = path.read_bytes()
        start = data.rindex(b"labels.txt", 0, data.index(b"PK\x01\x02")) + len("labels.txt")
        for at in range(start, len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
            assert isinstance(describe(path).embedded_labels, tuple)


def test_messages_show_a_long_name_in_part() -> None:
    assert short("x" * 99 + ";more") == "x" * 60


def test_the_card_travels_as_json(assets: Path, tmp_path: Path) -> None:
    """The child process that proves a file gets its card as JSON."""
    spec = square(3, 3, (0.5, 0.5), background=True)
    path = heads(metadata={METADATA: msgspec.json.encode(spec)}).write(tmp_path / "m.tflite")
    for card in (describe(path), describe(assets / COCO)):
        assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(card))), ModelCard) == card
