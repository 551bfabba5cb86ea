"""The figures of recalibration: that each command runs, tiny, and that what it computes with is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Group, Net, Scale, groups, range_of, scale_for
from bench.recalibrate import demo, face_mask, loss, natural, twin
from tests.models import demo_file

ROOT = Path(__file__).parent.parent


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_holds_it_and_narrows_with_more_draws(count: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, count))
    low, high = natural.wilson(found, count)
    assert 0.0 <= low <= found / count <= high <= 1.0
    wider = natural.wilson(4 * found, 4 * count)
    assert wider[1] - wider[0] < high - low


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe, 1998, Statistics in Medicine 17:857, table I, method 3
    assert natural.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert natural.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert natural.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_interval_of_a_mean_is_students() -> None:
    # ten values: t = 2.262, standard deviation 3.0277
    low, mean, high = demo.span(list(range(1, 11)))
    assert mean == 5.5
    assert (low, high) == pytest.approx((5.5 - 2.166, 5.5 + 2.166), abs=0.002)


def test_two_sets_of_annotations_are_one_with_every_box_once() -> None:
    one = {
        "images": [{"id": 5}],
        "annotations": [{"id": 1, "image_id": 5}, {"id": 2, "image_id": 5}],
        "categories": [1],
    }
    other = {"images": [{"id": 2}], "annotations": [{"id": 1, "image_id": 2}], "categories": [1]}
    whole = twin.joined([one, other])
    assert [image["id"] for image in whole["images"]] == [2, 5]
    assert sorted((mark["id"], mark["image_id"]) for mark in whole["annotations"]) == [(1, 5), (2, 5), (3, 2)]


@given(low=st.floats(-50, 0), high=st.floats(0.1, 50), dtype=st.sampled_from(["int8", "uint8"]))
def test_a_coarser_scale_has_twice_the_step(low: float, high: float, dtype: str) -> None:
    scale = scale_for(low, high, dtype)
    group = Group((0,), dtype, scale.scale, scale.zero_point, -np.inf, np.inf)
    assert loss._coarser(scale, group).scale == pytest.approx(2 * scale.scale, rel=1e-3)


def test_logits_in_steps_are_scores_of_256() -> None:
    logits = np.linspace(-9, 6, 151, dtype=np.float32)
    scores = 1 / (1 + np.exp(-loss._in_steps(logits).astype(np.float64)))
    assert np.abs(256 * scores - np.rint(256 * scores)).max() < 0.011
    assert np.abs(scores - 1 / (1 + np.exp(-logits.astype(np.float64)))).max() <= 0.5 / 256 + 1e-4
    assert np.all(np.diff(scores) >= -1e-7)


def test_ratios_of_noise_are_in_decibels() -> None:
    np.testing.assert_allclose(face_mask.decibels(np.array([100.0, 10.0, 1.0, 10.0])), [20.0, 0.0])


def test_the_quantizer_gets_the_ranges_of_the_patch_by_name() -> None:
    net = Net(memoryview(demo_file("model.raw.tflite")))
    found = groups(net)
    scales = [None if group.frozen else Scale(0.25, 3) for group in found]
    before = {
        tensor.name: {"min": np.zeros((1, 1), np.float32), "max": np.ones((1, 1), np.float32)} for tensor in net.tensors
    }
    before["elsewhere"] = {"min": np.zeros(1), "max": np.ones(1)}
    after = face_mask.with_ranges(before, net, scales)
    for group, scale in zip(found, scales, strict=True):
        ends = range_of(scale or Scale(group.scale, group.zero_point), group.dtype)
        for index in group.tensors:
            given = after[net.tensors[index].name]
            assert (given["min"].item(), given["max"].item()) == pytest.approx(ends, rel=1e-6)
            assert given["min"].shape == (1, 1)
    assert after["elsewhere"] == before["elsewhere"]
    assert all(not ends["min"].any() for ends in before.values()), "the statistics of others were changed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["recalibrate", "--scenes", "20", "--only", "day"], ["| day | night |", "| day | black |", "| day | day |"]),
        (["recalibrate-natural", "--draws", "2"], ["2 draws of 32 frames", "surely better", "surely worse"]),
        (["recalibrate-loss", "--scenes", "20"], ["| float |", "| patched |", "| all "]),
        (["recalibrate-cost", "--runs", "1", "--models", "demo"], ["| demo | plain |", "| demo | probe |"]),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) and value[0].startswith("recal") else "",
)
def test_a_command_prints_its_table(arguments: list[str], rows: list[str]) -> None:
    said = bench(*arguments)
    for row in rows:
        assert row in said
    assert "nan" not in said.lower()


@pytest.mark.slow
def test_the_twins_command_prints_its_table(assets: Path) -> None:
    del assets
    said = bench("recalibrate-twin", "--pictures", "3", "--resamples", "10")
    assert "| val and train2017, 6 |" in said
