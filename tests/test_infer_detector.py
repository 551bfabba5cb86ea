"""One model in one interpreter, on each installed runtime."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.config import ModelConfig, RuntimeConfig
from agent.errors import ModelError, UnavailableError
from agent.infer import Backend, Detector, choose_backend
from agent.infer.detector import quiet_stderr
from agent.model import describe
from agent.model.graph import Graph, mapped
from agent.preprocess import Preprocessor
from agent.records import Labels, ModelCard
from tests.delegates import Delegates
from tests.models import Case, Street, picture, square
from tests.tiny import CUSTOM, Op, Tensor, Tiny, decoded, heads, mismatched

PICTURES = ["images/misc/grace_hopper.bmp", "images/misc/cats_and_dogs.jpg", "images/misc/traffic_0001.bmp"]


def by_hand(path: Path, backend: str, tensor: np.ndarray) -> dict[str, np.ndarray]:
    """Every output of a bare interpreter, by name."""
    bare = choose_backend(backend).module.Interpreter(model_path=str(path), num_threads=1)
    bare.allocate_tensors()
    bare.set_tensor(bare.get_input_details()[0]["index"], tensor)
    bare.invoke()
    return {item["name"]: bare.get_tensor(item["index"]) for item in bare.get_output_details()}


def detector(path: Path, backend: str, **changes: object) -> Detector:
    runtime = RuntimeConfig(backend=backend, **changes)  # type: ignore[arg-type]
    return Detector(path, describe(path), choose_backend(backend), runtime)


class TestAnswers:
    @pytest.mark.parametrize("name", PICTURES)
    def test_of_the_coco_ssd_are_the_interpreters_own_to_the_last_bit(
        self, assets: Path, coco: Case, backend: str, name: str
    ) -> None:
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / name))
        answer = Street(coco, backend=backend).detector.invoke(tensor)
        bare = by_hand(coco.path, backend, tensor)
        assert coco.card.classes is not None
        assert coco.card.count is not None
        np.testing.assert_array_equal(answer.boxes, bare[coco.card.boxes.name])
        np.testing.assert_array_equal(answer.scores, bare[coco.card.scores.name])
        np.testing.assert_array_equal(answer.classes, bare[coco.card.classes.name])
        np.testing.assert_array_equal(answer.count, bare[coco.card.count.name])
        assert answer.boxes.shape == (1, 10, 4)
        assert answer.scores[0, 0] > 0.6

    def test_of_raw_float_heads_are_the_interpreters_own(self, assets: Path, face_mask: Case, backend: str) -> None:
        tensor = Preprocessor(face_mask.card, face_mask.config)(picture(assets / PICTURES[0]))
        answer = Street(face_mask, backend=backend).detector.invoke(tensor)
        bare = by_hand(face_mask.path, backend, tensor)
        np.testing.assert_array_equal(answer.boxes, bare[face_mask.card.boxes.name])
        np.testing.assert_array_equal(answer.scores, bare[face_mask.card.scores.name])
        assert (answer.classes, answer.count) == (None, None)

    def test_are_copies_that_the_next_invoke_leaves_alone(self, coco: Case, backend: str) -> None:
        street = Street(coco, backend=backend)
        rng = np.random.default_rng(0)
        first = street.detector.invoke(rng.integers(0, 256, coco.card.input.shape, np.uint8))
        kept = first.boxes.copy()
        street.detector.invoke(np.zeros(coco.card.input.shape, np.uint8))
        np.testing.assert_array_equal(first.boxes, kept)

    def test_are_the_same_with_two_threads(self, assets: Path, coco: Case, backend: str) -> None:
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / PICTURES[0]))
        one, two = (detector(coco.path, backend, num_threads=count).invoke(tensor) for count in (1, 2))
        np.testing.assert_array_equal(one.scores, two.scores)

    @pytest.mark.parametrize(("dtype", "scale", "zero"), [("uint8", 0.5, 7), ("int8", 0.25, -3), ("float32", 0.0, 0)])
    def test_of_quantized_heads_come_as_real_numbers(
        self, backend: str, tmp_path: Path, dtype: str, scale: float, zero: int
    ) -> None:
        path = heads(2, 6, dtype=dtype, scale=scale, zero_point=zero).write(tmp_path / "m.tflite")
        tensor = np.arange(36).reshape(1, 2, 6, 3).astype(dtype)
        answer = detector(path, backend).invoke(tensor)
        real = (tensor.astype(np.float64) - zero) * (scale or 1.0)
        for head in (answer.boxes, answer.scores):
            assert head.dtype == np.float32
            np.testing.assert_array_equal(head, real.reshape(1, 9, 4).astype(np.float32))


def with_outputs(coco: Case, order: tuple[int, ...], path: Path) -> Path:
    """The COCO SSD with its graph's outputs in another order, as a TF2 converter writes them."""
    data = bytearray(coco.path.read_bytes())
    graph = Graph(mapped(coco.path))
    start, count = graph.subgraph._vector(2, 4)
    indices = struct.unpack_from(f"<{count}i", data, start)
    struct.pack_into(f"<{count}i", data, start, *(indices[place] for place in order))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_any_order_of_the_outputs_gives_the_same_detections(
    assets: Path, coco: Case, backend: str, tmp_path: Path, order: tuple[int, ...]
) -> None:
    path = with_outputs(coco, order, tmp_path / "m.tflite")
    bare = choose_backend(backend).module.Interpreter(model_path=str(path))
    bare.allocate_tensors()
    names = [item["name"].rpartition(":")[2] for item in bare.get_output_details()]
    assert names != ["TFLite_Detection_PostProcess", "1", "2", "3"], "the file must truly be another"
    usual = Street(coco, backend=backend)
    swapped = Street(replace(coco, path=path, card=describe(path)), backend=backend)
    for name in PICTURES:
        ours, theirs = (street.detect(picture(assets / name)) for street in (usual, swapped))
        assert len(ours) > 0
        np.testing.assert_array_equal(ours.xyxy, theirs.xyxy)
        np.testing.assert_array_equal(ours.confidence, theirs.confidence)
        np.testing.assert_array_equal(ours.class_id, theirs.class_id)


def test_quantized_heads_are_decoded_to_the_box_of_their_numbers(backend: str, tmp_path: Path) -> None:
    """Nine anchors, one of them with a score: boxes, scores and sizes are told by the picture's own bytes."""
    path = heads(2, 6, dtype="uint8", scale=1 / 64, zero_point=128).write(tmp_path / "m.tflite")
    spec = square(3, 3, (0.25, 0.5), score_activation="none", background=True)
    config = ModelConfig(heads=spec, color="bgr", mean=[128.0], std=[64.0], score_threshold=0.6)
    street = Street(Case(path, describe(path), Labels({0: "a", 1: "b", 2: "c"}), config), backend=backend)
    pixels = np.full((2, 6, 3), 128, np.uint8)
    pixels.reshape(9, 4)[4] = [128, 128 + 64, 128 - 64, 128 + 32]  # background 0, a 1.0, b -1.0, c 0.5
    found = street.detect(pixels)
    assert (found.class_id.tolist(), found.confidence.tolist()) == ([0], [1.0])
    ty, tx, th, tw = 0.0, 1.0, -1.0, 0.5
    centre = np.array([0.5 + tx * 0.1 * 0.25, 0.5 + ty * 0.1 * 0.5])
    half = 0.5 * np.array([0.25 * np.exp(0.2 * tw), 0.5 * np.exp(0.2 * th)])
    box = np.concatenate([centre - half, centre + half]) * [6, 2, 6, 2]
    np.testing.assert_allclose(found.xyxy[0], box, rtol=1e-5)


class TestRefusals:
    def refusal(self, path: Path, backend: str, **changes: object) -> str:
        with pytest.raises(ModelError) as refused:
            detector(path, backend, **changes)
        message = str(refused.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")

    def custom(self, name: str, tmp_path: Path) -> Path:
        """Two raw heads out of one custom operation."""
        quantized = ("uint8", (0.5,), (0,))
        shapes = {"picture": (1, 2, 6, 3), "boxes": (1, 9, 4), "scores": (1, 9, 2)}
        tensors = [Tensor(key, shape, *quantized) for key, shape in shapes.items()]
        return Tiny(tensors, [Op(CUSTOM, (0,), (1, 2), name)], (0,), (1, 2)).write(tmp_path / "m.tflite")

    def test_compiled_for_the_edge_tpu(self, backend: str, tmp_path: Path) -> None:
        path = self.custom("edgetpu-custom-op", tmp_path)
        assert self.refusal(path, backend) == (
            'is compiled for the Edge TPU; set runtime.delegate = "edgetpu", or give the CPU version'
        )
        with pytest.raises(UnavailableError, match="libedgetpu build that fits"):
            detector(path, backend, delegate="edgetpu")

    def test_compiled_for_the_edge_tpu_with_another_delegate(
        self, backend: str, tmp_path: Path, delegates: Delegates
    ) -> None:
        path = self.custom("edgetpu-custom-op", tmp_path)
        said = self.refusal(path, backend, delegate=str(delegates.whole))
        assert said.startswith(f"{backend} refuses it: ")
        assert "edgetpu-custom-op" in said

    def test_an_operation_that_nothing_here_can_run(self, backend: str, tmp_path: Path) -> None:
        path = self.custom("Sinh", tmp_path)
        assert self.refusal(path, backend) == "needs the custom operation 'Sinh', which no runtime here has"

    def test_a_builtin_operation_that_is_not_known(self, backend: str, tmp_path: Path) -> None:
        path = heads(ops=[Op(250, (0, 1), (2,)), Op(250, (0, 1), (3,))]).write(tmp_path / "m.tflite")
        assert self.refusal(path, backend).startswith(f"{backend} refuses it: ")

    def test_a_tensor_of_another_shape_or_type_at_invoke(self, backend: str, tmp_path: Path) -> None:
        path = heads().write(tmp_path / "m.tflite")
        ready = detector(path, backend)
        for tensor in (np.zeros((1, 2, 6, 3), np.float32), np.zeros((1, 6, 2, 3), np.uint8), np.zeros(36, np.uint8)):
            with pytest.raises(ModelError, match="does not run: "):
                ready.invoke(tensor)
        assert ready.invoke(np.zeros((1, 2, 6, 3), np.uint8)).boxes.shape == (1, 9, 4)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"name": "other"}, "the runtime does not offer the tensor 'other'"),
            ({"dtype": "int8"}, "'boxes' is uint8 in the runtime, int8 in the file"),
            ({"shape": (1, 18, 2)}, "'boxes' is [1, 9, 4] in the runtime, [1, 18, 2] in the file"),
        ],
    )
    def test_a_runtime_that_sees_another_tensor(
        self, backend: str, tmp_path: Path, change: dict[str, Any], sentence: str
    ) -> None:
        path = heads().write(tmp_path / "m.tflite")
        card = describe(path)
        wrong = replace(card, boxes=replace(card.boxes, **change))
        with pytest.raises(ModelError) as refused:
            Detector(path, wrong, choose_backend(backend), RuntimeConfig())
        assert str(refused.value) == f"{path}: {sentence}"

    def test_open_sizes_are_left_to_the_runtime(self, backend: str, tmp_path: Path) -> None:
        path = heads().write(tmp_path / "m.tflite")
        card = describe(path)
        open_ended = replace(card, boxes=replace(card.boxes, shape=(-1, -1, 4)))
        Detector(path, open_ended, choose_backend(backend), RuntimeConfig()).warm()

    def test_heads_that_do_not_belong_together(self, backend: str, tmp_path: Path) -> None:
        path = mismatched(tmp_path / "m.tflite")
        with pytest.raises(ModelError, match=r"boxes \[1, 9, 4\] and scores \[1, 18, 2\] do not belong together"):
            detector(path, backend).warm()


class FakeInterpreter:
    """A runtime's interpreter that answers what it is told, in shapes that no file at hand has."""

    def __init__(self, fault: Exception | None, answers: list[np.ndarray], card: ModelCard) -> None:
        self._fault, self._answers, self._card = fault, answers, card

    def __call__(self, **_: object) -> FakeInterpreter:
        if self._fault:
            raise self._fault
        return self

    def allocate_tensors(self) -> None: ...

    def invoke(self) -> None: ...

    def set_tensor(self, index: int, tensor: np.ndarray) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        spec = self._card.input
        return [{"name": spec.name, "index": spec.index, "dtype": np.dtype(spec.dtype), "shape": spec.shape}]

    def get_output_details(self) -> list[dict[str, Any]]:
        card = self._card
        specs = [card.boxes, card.scores, card.classes, card.count]
        return [{"name": s.name, "index": s.index, "dtype": np.dtype(s.dtype), "shape": s.shape} for s in specs if s]

    def get_tensor(self, index: int) -> np.ndarray:
        return self._answers[index - self._card.boxes.index]


def faked(path: Path, *shapes: tuple[int, ...], fault: Exception | None = None) -> Detector:
    """A detector over the fake; the shapes are those of boxes, classes, scores and count."""
    card = describe(path)
    fake = FakeInterpreter(fault, [np.zeros(shape, np.float32) for shape in shapes], card)
    module = type("Module", (), {"Interpreter": staticmethod(fake)})
    return Detector(path, card, Backend("fake", "0", module), RuntimeConfig())


class TestWarm:
    def test_takes_what_the_operation_gives(self, backend: str, tmp_path: Path) -> None:
        path = decoded().write(tmp_path / "m.tflite")
        detector(path, backend).warm()
        faked(path, (1, 10, 4), (1, 10), (1, 10), (1,)).warm()

    @pytest.mark.parametrize(
        "shapes",
        [
            ((1, 10, 4), (1, 10), (1, 9), (1,)),
            ((1, 10, 4), (1, 9), (1, 10), (1,)),
            ((1, 10, 4), (1, 10), (1, 10), (2,)),
            ((1, 10, 4), (1, 10), (1, 10), (0,)),
            ((1, 10, 4), (1, 10, 1), (1, 10, 1), (1,)),
            ((1, 10, 5), (1, 10), (1, 10), (1,)),
            ((10, 4), (10,), (10,), (1,)),
        ],
        ids=str,
    )
    def test_refuses_shapes_that_do_not_belong_together(self, tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
        path = decoded().write(tmp_path / "m.tflite")
        with pytest.raises(ModelError, match="do not belong together"):
            faked(path, *shapes).warm()

    @pytest.mark.parametrize("kind", [ValueError, RuntimeError, SystemError])
    def test_every_error_of_a_runtime_is_one_line(self, tmp_path: Path, kind: type[Exception]) -> None:
        path = decoded().write(tmp_path / "m.tflite")
        with pytest.raises(ModelError) as refused:
            faked(path, fault=kind("first\n  second\n"))
        assert str(refused.value) == f"{path}: fake refuses it: first second"
        with pytest.raises(ModelError, match=f"fake refuses it: {kind.__name__}$"):
            faked(path, fault=kind())


class TestDelegate:
    def test_is_loaded_prepared_and_freed_with_the_detector(
        self, assets: Path, coco: Case, backend: str, delegates: Delegates, tmp_path: Path
    ) -> None:
        mark = tmp_path / "mark"
        config = delegates.told("work", backend, mark=str(mark))
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / PICTURES[0]))
        ready = Detector(coco.path, coco.card, choose_backend(backend), config)
        assert mark.read_text().split() == ["create", "prepare"]
        assert ready.info.delegate == str(delegates.whole)
        answer = ready.invoke(tensor)
        del ready
        assert mark.read_text().split() == ["create", "prepare", "destroy"]
        plain = Street(coco, backend=backend).detector.invoke(tensor)
        np.testing.assert_allclose(answer.scores, plain.scores, atol=0.02)

    def test_that_cannot_prepare_is_a_refusal(self, coco: Case, backend: str, delegates: Delegates) -> None:
        with pytest.raises(ModelError, match=f"{backend} refuses it: "):
            Detector(coco.path, coco.card, choose_backend(backend), delegates.told("fail-prepare", backend))


class TestStderr:
    def test_information_is_dropped_and_the_rest_passed_on(self, capfd: pytest.CaptureFixture[str]) -> None:
        with quiet_stderr():
            os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: something\n")
            os.write(2, b"INFO: more\nno line end")
        os.write(2, b"\nafterwards\n")
        assert capfd.readouterr().err == "ERROR: something\nno line end\nafterwards\n"

    def test_is_given_back_after_an_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        def fail() -> None:
            with quiet_stderr():
                os.write(2, b"ERROR: inside\n")
                raise ModelError("x")

        with pytest.raises(ModelError):
            fail()
        os.write(2, b"afterwards\n")
        assert capfd.readouterr().err == "ERROR: inside\nafterwards\n"

    def test_a_load_says_nothing(self, coco: Case, backend: str, capfd: pytest.CaptureFixture[str]) -> None:
        Street(coco, backend=backend)
        assert capfd.readouterr().err == ""

    def test_a_process_without_stderr_can_load(self, backend: str, tmp_path: Path) -> None:
        path = heads().write(tmp_path / "m.tflite")
        program = (
            "import sys; from pathlib import Path; from agent.config import RuntimeConfig; "
            "from agent.infer import *; from agent.model import describe; "
            f"path = Path({str(path)!r}); assert sys.stderr is None; "
            f"Detector(path, describe(path), choose_backend({backend!r}), RuntimeConfig()).warm(); print('ran')"
        )
        ended = subprocess.run(
            ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
        assert (ended.returncode, ended.stdout) == (0, "ran\n")
