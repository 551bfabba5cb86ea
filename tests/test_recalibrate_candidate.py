"""Who answers for the proof: on threads on which no class is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.model import float_twin, mapped
from agent.pipeline import Model, load_model
from agent.recalibrate.candidate import Candidate, Look, Twin, as_loaded
from agent.records import Detections, Pixels
from tests.models import demo_file
from tools.demo_model.scenes import still

WASHER = 2
TWO = RuntimeConfig(num_threads=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("model.tflite", "labels.txt"):
        (folder / name).write_bytes(demo_file(name))
    (folder / "other.tflite").write_bytes(demo_file("model.tflite"))
    (folder / "twin.tflite").write_bytes(float_twin(mapped(folder / "model.tflite")))
    changes = {"model.path": str(folder / "model.tflite"), "model.labels": str(folder / "labels.txt")}
    return load_model(settings.override(Config(), {**changes, "runtime.num_threads": 2}))


@pytest.fixture(scope="module")
def with_washer() -> Pixels:
    return next(pixels for pixels, truth in still(22, 16, CONDITIONS["day"]) if WASHER in truth.class_id)


def candidate(model: Model, folder: Path) -> Callable[[Pixels], Detections]:
    made = Candidate(model, folder / "other.tflite", TWO)
    return lambda pixels: made(pixels).detections


def twin(model: Model, folder: Path) -> Callable[[Pixels], Detections]:
    made = Twin(model, folder / "twin.tflite", TWO)
    return lambda pixels: made(pixels).detections


def looking(model: Model, folder: Path) -> Callable[[Pixels], Detections]:
    return Look(model, folder / "other.tflite", TWO)


@pytest.mark.parametrize("who", [candidate, twin, looking])
def test_no_side_of_the_proof_loses_a_class_to_threads(
    who: Callable[[Model, Path], Callable[[Pixels], Detections]], model: Model, with_washer: Pixels
) -> None:
    assert WASHER in model.detect(with_washer).class_id, "the loaded model finds it"
    assert WASHER in who(model, model.path.parent)(with_washer).class_id


def test_threads_that_lose_nothing_stay(model: Model) -> None:
    assert as_loaded(model, TWO).num_threads == 1
    assert [as_loaded(model, RuntimeConfig(num_threads=many)).num_threads for many in (1, 6, 7)] == [1, 6, 7]
