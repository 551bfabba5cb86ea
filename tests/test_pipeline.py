"""The street: the same answer as the runtime called by hand, and what is refused before a frame is seen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent import config as settings
from agent.board import ready_model
from agent.camera import Camera
from agent.config import Config
from agent.errors import ConfigError, ModelError
from agent.infer import choose_backend
from agent.measure import Meter
from agent.pipeline import Model, Pipeline, load_model
from tests.cases import COCO, make_clip


@pytest.fixture(scope="module")
def model(assets: Path) -> Model:
    return load_model(settings.override(Config(), {"model.path": str(assets / COCO)}))


def test_the_street_answers_as_the_interpreter_by_hand(assets: Path, model: Model, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", assets / "images/misc/cats_and_dogs.jpg", 5)
    camera = Camera(settings.override(Config(), {"camera.uri": str(clip), "camera.pace": "fast"}).camera)
    hand = choose_backend().module.Interpreter(str(assets / COCO), num_threads=1)
    hand.allocate_tensors()
    pipeline = Pipeline(camera, model, Meter(iter_clock(), 10.0))
    camera.start()
    answered = 0
    while not camera.ended:
        result = pipeline.step(1.0)
        if result is None:
            continue
        answered += 1
        pixels = result.frame.pixels
        tensor = cv2.cvtColor(cv2.resize(pixels, (300, 300)), cv2.COLOR_BGR2RGB)[None]
        hand.set_tensor(hand.get_input_details()[0]["index"], tensor)
        hand.invoke()
        boxes, classes, scores, _ = (hand.get_tensor(item["index"])[0] for item in hand.get_output_details())
        sure = scores >= 0.5
        height, width = pixels.shape[:2]
        by_hand = np.clip(boxes[sure][:, [1, 0, 3, 2]], 0, 1) * [width, height, width, height]
        np.testing.assert_allclose(result.detections.xyxy, by_hand, atol=1e-3)
        np.testing.assert_array_equal(result.detections.confidence, scores[sure])
        np.testing.assert_array_equal(result.detections.class_id, classes[sure])
    camera.stop()
    assert answered == 5


def test_prepared_on_the_camera_thread_or_here_is_the_same(assets: Path, model: Model, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", assets / "images/misc/pets.jpg", 3)
    config = settings.override(Config(), {"camera.uri": str(clip), "camera.pace": "fast"}).camera
    answers = []
    for prepare in (None, model.preprocess):
        camera = Camera(config, prepare=prepare)
        camera.start()
        result = Pipeline(camera, model, Meter(iter_clock(), 10.0)).step(5.0)
        camera.stop()
        assert result is not None
        assert (result.frame.tensor is None) == (prepare is None)
        assert result.times.preprocess_s > 0
        answers.append(result.detections)
    np.testing.assert_array_equal(answers[0].xyxy, answers[1].xyxy)


def test_what_was_assumed_is_said(assets: Path) -> None:
    changes = {
        "model.path": str(assets / "models/face_mask_detection_float.tflite"),
        "model.heads": one_class_heads(5972),
    }
    notes = load_model(settings.override(Config(), changes)).notes
    assert any("assumed" in note and "model.mean" in note for note in notes)
    assert any("labels" in note for note in notes)


def test_raw_heads_without_anchors_are_refused_with_the_mend(assets: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.heads"):
        load_model(settings.override(Config(), {"model.path": str(assets / "models/face_mask_detection_float.tflite")}))


def test_anchors_that_do_not_fit_are_refused_with_both_numbers(assets: Path) -> None:
    changes = {"model.path": str(assets / "models/face_mask_detection_float.tflite"), "model.heads": one_class_heads(7)}
    with pytest.raises(ConfigError, match=r"7 anchors.*5972"):
        load_model(settings.override(Config(), changes))


def test_anchors_of_a_file_that_leaves_its_shapes_open_are_counted_at_the_first_run(assets: Path) -> None:
    changes = {"model.path": str(assets / "models/rfb320_face_float.tflite"), "model.heads": one_class_heads(7)}
    with pytest.raises(ConfigError, match=r"7 anchors.*4420"):
        load_model(settings.override(Config(), changes))


def test_heads_for_a_model_that_decodes_its_own_boxes_are_refused(assets: Path) -> None:
    changes = {"model.path": str(assets / COCO), "model.heads": one_class_heads(1917)}
    with pytest.raises(ConfigError, match="decodes its own boxes"):
        load_model(settings.override(Config(), changes))


def test_no_model_named_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="--model"):
        load_model(Config())


def one_class_heads(count: int) -> dict[str, object]:
    return {"maps": [{"rows": 1, "cols": count, "sizes": [[0.1, 0.1]]}]}


def iter_clock() -> object:
    """A clock that moves a millisecond each time it is asked."""
    ticks = iter(range(10**9))
    return lambda: next(ticks) * 1e-3


def test_a_model_that_would_lose_a_class_on_several_threads_runs_on_one(caplog: pytest.LogCaptureFixture) -> None:
    demo = settings.override(Config(), {"model.bundle": "demo:", "runtime.num_threads": 2})
    loaded = ready_model(demo)
    assert loaded.detector.info.num_threads == 1
    assert "one thread is used, for with 2 the runtime would lose every 'washer'" in caplog.text
    assert ready_model(settings.override(demo, {"runtime.num_threads": 7})).detector.info.num_threads == 7
