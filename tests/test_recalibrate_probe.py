"""Ranges measured with the quantized model alone, and with its float twin."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.camera.rendered import CONDITIONS
from agent.infer import Backend, Taps, choose_backend
from agent.model import (
    Group,
    Net,
    Scale,
    describe,
    float_twin,
    groups,
    range_of,
    rescale,
    scale_for,
    tapped,
    with_activations,
)
from agent.recalibrate.heads import heads
from agent.recalibrate.probe import Seen, sources, twin_probe, wide_probe
from agent.recalibrate.ranges import estimate
from agent.records import Tensor
from tests.models import demo_file, installed
from tests.test_model_patch import QUANTIZED, load
from tools.demo_model.scenes import still

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")

Probe = Callable[[memoryview, Sequence[Tensor], Backend], list[Seen]]


def pictures(count: int, seed: int) -> list[Tensor]:
    """Input tensors of the demo model: rendered belts by day, 192 x 256."""
    import cv2

    found = []
    for pixels, _ in still(seed, count, CONDITIONS["day"]):
        small = cv2.cvtColor(cv2.resize(pixels, (256, 192), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        found.append((small.astype(np.int16) - 128).astype(np.int8)[None])
    return found


@pytest.fixture(scope="module")
def demo() -> memoryview:
    return memoryview(demo_file("model.raw.tflite"))


@pytest.fixture(scope="module")
def kept() -> list[Tensor]:
    return pictures(8, seed=11)


@pytest.fixture(scope="module")
def held_out() -> list[Tensor]:
    return pictures(6, seed=12)


def chosen(seen: Sequence[Seen]) -> list[Scale | None]:
    """As a recalibration chooses them, without its judgement."""

    def scale(item: Seen) -> Scale | None:
        if item.histogram is None:
            return None
        low, high = estimate(item.histogram, "min-max")
        return scale_for(max(low, item.group.floor), min(high, item.group.ceiling), item.group.dtype)

    return [scale(item) for item in seen]


def shrunk(data: memoryview, factor: float) -> memoryview:
    """Calibrated on far too little: every linear range is ``factor`` of what it should be, and one-sided heads."""
    found = groups(Net(data))

    def scale(group: Group) -> Scale | None:
        if group.frozen or group.ceiling < np.inf:
            return None
        low, high = range_of(Scale(group.scale, group.zero_point), group.dtype)
        return scale_for(0.0 if len(group.tensors) > 1 else factor * low, factor * high, group.dtype)

    return memoryview(rescale(Net(data), found, [scale(group) for group in found]))


def head_sqnr(data: memoryview, twin: memoryview, frames: Sequence[Tensor], backend: Backend) -> np.ndarray:
    """Signal to quantization noise of each output, dB, against a float model."""
    net = Net(data)
    picture = net.tensors[net.inputs[0]]
    ours, floats = Taps(bytes(data), backend), Taps(bytes(twin), backend)
    signal, noise = np.zeros(len(net.outputs)), np.zeros(len(net.outputs))
    for frame in frames:
        real = ((frame.astype(np.float32) - picture.zero_points[0]) * picture.scales[0]).astype(np.float32)
        pairs = zip(ours.read(frame, net.outputs), floats.read(real, net.outputs), strict=True)
        for number, (codes, truth) in enumerate(pairs):
            tensor = net.tensors[net.outputs[number]]
            value = (codes.astype(np.float32) - tensor.zero_points[0]) * tensor.scales[0]
            signal[number] += np.square(truth).sum()
            noise[number] += np.square(truth - value).sum()
    return np.asarray(10 * np.log10(signal / noise))


@pytest.mark.parametrize("probe", [wide_probe, twin_probe])
def test_a_badly_calibrated_model_is_brought_back(
    probe: Probe, demo: memoryview, kept: list[Tensor], held_out: list[Tensor], backend: str
) -> None:
    runtime = choose_backend(backend)
    bad, twin = shrunk(demo, 0.15), memoryview(float_twin(demo))
    repaired = memoryview(rescale(Net(bad), groups(Net(bad)), chosen(probe(bad, kept, runtime))))
    before, after, well = (head_sqnr(model, twin, held_out, runtime) for model in (bad, repaired, demo))
    assert (before < well - 10).all(), "the model was not bad"
    assert (after > well - 1.0).all()


def test_both_ways_see_the_same_ranges(demo: memoryview, kept: list[Tensor], backend: str) -> None:
    runtime = choose_backend(backend)
    for wide, twin in zip(wide_probe(demo, kept, runtime), twin_probe(demo, kept, runtime), strict=True):
        assert wide.group == twin.group
        assert (wide.histogram is None) == (twin.histogram is None)
        if wide.histogram is None or twin.histogram is None:
            continue
        one, other = estimate(wide.histogram, "min-max"), estimate(twin.histogram, "min-max")
        assert one == pytest.approx(other, abs=0.12 * (other[1] - other[0]))


def test_the_black_calibrated_coco_ssd_is_brought_back(assets: object, backend: str) -> None:
    del assets
    runtime = choose_backend(backend)
    data = memoryview(with_activations(load(QUANTIZED[0])))
    frames = blocks(4, seed=3)
    black = twin_probe(data, [np.zeros_like(frames[0])], runtime)
    bad = memoryview(rescale(Net(data), groups(Net(data)), chosen(black)))
    wide = {index: chosen([item])[0] for item in wide_probe(bad, frames, runtime) for index in item.group.tensors}
    twin = {index: chosen([item])[0] for item in twin_probe(data, frames, runtime) for index in item.group.tensors}
    pairs = [(wide[index], scale) for index, scale in twin.items() if scale is not None]
    ratios = [found.scale / scale.scale for found, scale in pairs if found is not None]
    assert len(ratios) == len(pairs) > 48
    assert 0.8 < np.median(ratios) < 1.25
    assert min(ratios) > 0.5
    assert max(ratios) < 2.0


def test_only_what_brings_values_in_is_counted(demo: memoryview) -> None:
    net = Net(demo)
    made_by = {index: op.name for op in net.ops for index in op.outputs}
    for group in groups(net):
        names = {made_by.get(index, "input") for index in sources(net, group)}
        assert not names & {"RESHAPE", "CONCATENATION"}, names


@pytest.mark.skipif(len(installed()) < 2, reason="needs both runtimes")
@pytest.mark.parametrize("name", ["demo:model.raw.tflite", QUANTIZED[0]])
def test_a_patched_file_says_the_same_on_both_runtimes(name: str, kept: list[Tensor], tmp_path: Path) -> None:
    """Their kernels round a step apart here and there, in a patched file hardly further than in its base."""
    litert, other = (choose_backend(each) for each in ("litert", "tflite-runtime"))
    data = load(name)
    frames = kept if name.startswith("demo:") else blocks(3, seed=5)
    patched = rescale(Net(data), groups(Net(data)), chosen(wide_probe(data, frames, litert)))
    before, after = (steps_apart(each, frames, (litert, other), tmp_path) for each in (bytes(data), patched))
    assert (after < before + 1.0).all(), (before, after)


def blocks(count: int, seed: int) -> list[Tensor]:
    """Input tensors of the COCO SSD: coloured squares."""
    random = np.random.default_rng(seed)
    small = (random.integers(0, 256, (1, 10, 10, 3)) for _ in range(count))
    return [each.repeat(30, 1).repeat(30, 2).astype(np.uint8) for each in small]


def steps_apart(data: bytes, frames: Sequence[Tensor], runtimes: Sequence[Backend], folder: Path) -> np.ndarray:
    """Root mean square of what two runtimes differ by, in steps, at boxes and at scores."""
    path = folder / f"{hashlib.sha256(data).hexdigest()}.tflite"
    path.write_bytes(data)
    wanted = heads(Net(data), describe(path))
    taps = [Taps(tapped(data, wanted), runtime) for runtime in runtimes]
    pairs = [zip(*(tap.read(frame, wanted) for tap in taps), strict=True) for frame in frames]
    squares = [[np.square(one.astype(float) - other).mean() for one, other in each] for each in pairs]
    return np.sqrt(np.mean(squares, axis=0))
