"""Two runtimes, one answer: where LiteRT and tflite-runtime are both installed, they agree on the COCO SSD."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.config import Config, ModelConfig, override
from agent.infer import choose_backend
from agent.model.graph import Graph, mapped
from agent.parity import Tolerance, compare, plan_side
from agent.preprocess import Preprocessor
from agent.records import Detections
from tests.models import Case, Street, installed, iou, picture

pytestmark = pytest.mark.skipif(
    len(installed()) < 2, reason="needs both runtimes: numpy 1.26, ml_dtypes 0.5, ai-edge-litert and tflite-runtime"
)

PICTURES = [
    *(f"misc/{name}" for name in ("grace_hopper.bmp", "cats_and_dogs.jpg", "traffic_0001.bmp", "traffic_0002.bmp")),
    *(f"misc/{name}" for name in ("pets.jpg", "cat_720p.jpg", "kite_and_cold.jpg", "ambianic_person.jpg")),
    *(f"coco_val2017/{name}" for name in ("000000000785.jpg", "000000000872.jpg", "000000002473.jpg")),
]
STEP = 0.02
"""Scores of a quantized model come in steps of 1/85 or so; the runtimes may differ by one."""


SMALL = 32.0
"""Pixels. One step of the box code moves the side of a smaller box by more than a tenth of it."""


@pytest.fixture(scope="module")
def streets(coco: Case) -> list[Street]:
    return [Street(coco, backend=name) for name in ("litert", "tflite-runtime")]


def sure(found: Detections, least: float) -> list[int]:
    return [place for place, score in enumerate(found.confidence) if score >= least]


def smallest(box: np.ndarray) -> float:
    return float((box[2:] - box[:2]).min())


def partner(found: Detections, place: int, other: Detections) -> int | None:
    """The detection of the same thing in the other answer."""
    same = [number for number in range(len(other)) if other.class_id[number] == found.class_id[place]]
    return max(same, key=lambda number: iou(found.xyxy[place], other.xyxy[number]), default=None)


@pytest.mark.parametrize("name", PICTURES)
def test_both_see_the_same_things(assets: Path, streets: list[Street], name: str) -> None:
    one, other = (street.detect(picture(assets / "images" / name)) for street in streets)
    assert len(one) > 0
    for found, rival in ((one, other), (other, one)):
        for place in sure(found, 0.5 + STEP):
            match = partner(found, place, rival)
            assert match is not None
            least = 0.9 if smallest(found.xyxy[place]) >= SMALL else 0.75
            assert iou(found.xyxy[place], rival.xyxy[match]) >= least
            assert abs(float(found.confidence[place]) - float(rival.confidence[match])) <= STEP


def test_parity_says_the_same_of_both_on_real_pictures(assets: Path, coco: Case) -> None:
    sides = [
        plan_side(name, override(Config(), {"model.path": str(coco.path), "runtime.backend": name}))
        for name in ("litert", "tflite-runtime")
    ]
    pictures = [picture(assets / "images" / name) for name in PICTURES]
    found = compare(sides[0], sides[1], pictures, Tolerance(lone_share=0.5))
    assert found.figures.frames == len(PICTURES)
    assert [side.what.split(", ")[1] for side in found.sides] == ["litert", "tflite-runtime"]
    assert found.figures.score_error is not None
    assert found.figures.score_error.high <= STEP
    assert found.figures.mean_iou is not None
    assert found.figures.mean_iou.low >= 0.95
    assert found.raw is not None
    assert found.raw.max_score > 0, "these runtimes do not agree to the last bit"


def bare(name: str, kernels: str, case: Case, tensor: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Raw heads and outputs by the runtime's own kernels, without the delegate that it would take by itself."""
    module = choose_backend(name).module
    ready = module.Interpreter(
        model_path=str(case.path),
        num_threads=1,
        experimental_op_resolver_type=module.OpResolverType[kernels],
        experimental_preserve_all_tensors=True,
    )
    ready.allocate_tensors()
    ready.set_tensor(ready.get_input_details()[0]["index"], tensor)
    ready.invoke()
    outputs = [item["index"] for item in ready.get_output_details()]
    heads = Graph(mapped(case.path)).operators[-1].inputs[:2]
    return [ready.get_tensor(index) for index in heads], [ready.get_tensor(index) for index in outputs]


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")
@pytest.mark.parametrize("name", PICTURES[:3])
class TestWithoutDelegates:
    def test_the_reference_kernels_agree_to_the_last_bit(self, assets: Path, coco: Case, name: str) -> None:
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / "images" / name))
        one, other = (bare(runtime, "BUILTIN_REF", coco, tensor) for runtime in installed())
        assert [head.shape[:2] for head in one[0]] == [(1, 1917), (1, 1917)]
        for ours, theirs in zip([*one[0], *one[1]], [*other[0], *other[1]], strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_the_fast_kernels_differ_by_a_few_steps_here_and_there(self, assets: Path, coco: Case, name: str) -> None:
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / "images" / name))
        one, other = (bare(runtime, "BUILTIN_WITHOUT_DEFAULT_DELEGATES", coco, tensor) for runtime in installed())
        for ours, theirs in zip(one[0], other[0], strict=True):
            steps = np.abs(ours.astype(int) - theirs.astype(int))
            assert steps.max() <= 4
            assert (steps > 0).mean() < 0.01
