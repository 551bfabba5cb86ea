"""Ranges do not narrow by frames that do not show what they hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config
from agent.infer import choose_backend
from agent.model import Net, Scale, groups, range_of, rescale
from agent.pipeline import Model, load_model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.evidence import LEAST_FRAMES, Evidence, look_for
from agent.recalibrate.heads import is_head
from agent.recalibrate.probe import Seen, wide_probe
from agent.recalibrate.proof import Answer
from agent.records import Pixels
from tests.models import demo_file
from tests.test_recalibrate_proof import FRAME, seen
from tools.demo_model.scenes import still

NOTHING, ALL = Evidence(8, 0, 0, 6), Evidence(8, 8, 6, 6)


def found(*classes: Sequence[int]) -> Evidence:
    turns = iter(classes)
    return look_for(lambda _: Answer(seen(*((0, 0, number, 0.9) for number in next(turns)))), [FRAME] * len(classes), 2)


def test_what_frames_show_is_counted_by_frame() -> None:
    assert found([0, 0, 1], [0], [0], []) == Evidence(4, 3, 1, 2)
    assert found(*[[0, 1]] * LEAST_FRAMES).narrows_heads
    assert not found(*[[0, 1]] * (LEAST_FRAMES - 1)).narrows


@pytest.mark.parametrize(
    ("evidence", "inner", "heads", "words"),
    [
        (ALL, True, True, ""),
        (Evidence(68, 4, 1, 2), False, False, "4 of 68 pictures show objects: no range was made narrower"),
        (Evidence(8, 8, 5, 6), True, False, "5 of 6 classes are shown by 3 pictures or more: the heads'"),
        (Evidence(8, 8, 5, None), True, False, "it is not known which classes are shown by 3 pictures"),
    ],
)
def test_ranges_narrow_on_evidence(evidence: Evidence, inner: bool, heads: bool, words: str) -> None:
    assert (evidence.narrows, evidence.narrows_heads) == (inner, heads)
    assert evidence.kept.startswith(words)
    assert bool(evidence.kept) == bool(words)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("model.tflite", "labels.txt"):
        (folder / name).write_bytes(demo_file(name))
    changes = {"model.path": str(folder / "model.tflite"), "model.labels": str(folder / "labels.txt")}
    return load_model(settings.override(Config(), changes))


@pytest.fixture(scope="module")
def wall(demo: Model) -> list[Seen]:
    """What the ranges are on a bare wall."""
    random = np.random.default_rng(1)
    frames = [random.normal(100, 5, (480, 640, 3)).clip(0, 255).astype(np.uint8) for _ in range(4)]
    return wide_probe(memoryview(demo_file()), [demo.preprocess(pixels) for pixels in frames], choose_backend("auto"))


@pytest.mark.parametrize("evidence", [NOTHING, Evidence(8, 8, 5, 6), ALL, None])
def test_a_range_that_may_not_narrow_holds_what_it_held(wall: list[Seen], evidence: Evidence | None) -> None:
    data = memoryview(demo_file())
    net, narrower = Net(data), {True: 0, False: 0}
    for group, scale in zip(groups(net), choose_scales(data, wall, "mse", evidence), strict=True):
        if scale is None:
            continue
        (low, high), (first, last) = (
            range_of(each, group.dtype) for each in (scale, Scale(group.scale, group.zero_point))
        )
        step = 1.01 * scale.scale  # a zero point is a whole number: the ends are off by up to one step
        narrower[is_head(net, group)] += low > first + step or high < last - step
    assert (narrower[False] > 0) == (evidence is None or evidence.narrows)
    assert (narrower[True] > 0) == (evidence is None or evidence.narrows_heads)


def test_pictures_without_objects_do_not_cut_objects_off(demo: Model, wall: list[Seen]) -> None:
    data = memoryview(demo_file())
    frames: list[Pixels] = [pixels for pixels, _ in still(82, 4, CONDITIONS["day"])]
    counts = {}
    for name, evidence in (("cut", None), ("kept", NOTHING)):
        path = demo.path.with_name(f"{name}.tflite")
        path.write_bytes(rescale(Net(data), groups(Net(data)), choose_scales(data, wall, "min-max", evidence)))
        other = load_model(
            settings.override(
                Config(), {"model.path": str(path), "model.labels": str(demo.path.with_name("labels.txt"))}
            )
        )
        counts[name] = sum(len(other.detect(pixels).confidence) for pixels in frames)
    before = sum(len(demo.detect(pixels).confidence) for pixels in frames)
    assert before > 8
    assert counts["cut"] < 0.5 * before, "without that the objects were lost"
    assert counts["kept"] == pytest.approx(before, abs=0.1 * before)
