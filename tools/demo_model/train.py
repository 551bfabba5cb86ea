"""Training from scratch on scenes that are rendered meanwhile. Weights are kept after each epoch."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from agent.camera.rendered import HEIGHT, WIDTH
from agent.model import anchors
from agent.records import FloatArray
from tools.demo_model import network, spec
from tools.demo_model.matching import IGNORED, anchor_corners, match, relative
from tools.demo_model.scenes import as_input, mirrored, training

BATCH = 16
EPOCH = 200
"""Steps after which weights are kept and progress is printed."""

_POOL = 768
_AVERAGING = 0.998

Batch = tuple[npt.NDArray[np.uint8], FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Course:
    """One way through random scenes.

    Attributes:
        seed: of its scenes.
        steps: of :data:`BATCH` scenes each.
        peak_rate: the learning rate after the warm-up.
        warm_steps: of the warm-up.
        empty: share of belts on which there is nothing to find; they are looked at a quarter as long.
    """

    seed: int
    steps: int
    peak_rate: float
    warm_steps: int
    empty: float = 0.0

    def rate(self, step: int) -> float:
        """Warm-up, then a half cosine down to nothing."""
        if step < self.warm_steps:
            return self.peak_rate * step / self.warm_steps
        done = (step - self.warm_steps) / max(1, self.steps - self.warm_steps)
        return float(self.peak_rate * (0.5 + 0.5 * np.cos(np.pi * done)) + 1e-6)


def train(folder: Path, steps: int) -> Path:
    """Learn the parts, on scenes that have some.

    Returns:
        The file of weights in ``folder``: a running average over the last thousand steps or so.
    """
    return _run(Course(0, steps, peak_rate=2.5e-3, warm_steps=300), folder / "weights.h5", start=None)


def settle(folder: Path, steps: int) -> Path:
    """Learn what is none: go on with an empty belt now and then, in any light.

    Without it the network, which has never seen the dark, finds springs all over it.
    """
    weights = folder / "weights.h5"
    return _run(Course(1, steps, peak_rate=6e-4, warm_steps=100, empty=0.35), weights, start=weights)


def _run(course: Course, target: Path, start: Path | None) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(spec.TRAIN_SEED + course.seed)
    model, average = network.build(BATCH), network.build(BATCH)
    if start is not None:
        model.load_weights(start)
    average.set_weights(model.get_weights())
    optimizer = keras.optimizers.legacy.Adam()
    learn = _learner(model, average, optimizer)
    begun_s, loss = time.monotonic(), np.zeros(3)
    for step, (pictures, boxes, classes) in zip(range(1, course.steps + 1), batches(course), strict=False):
        optimizer.learning_rate = course.rate(step)
        keep = tf.constant(min(_AVERAGING, step / (step + 10)))
        loss += [float(part) for part in learn(pictures, boxes, classes, keep)]
        if step % EPOCH == 0 or step == course.steps:
            average.save_weights(target)
            many = (step - 1) % EPOCH + 1
            names = zip(("class", "box", "iou"), loss / many, strict=True)
            parts = ", ".join(f"{name} {part:.4f}" for name, part in names)
            print(f"step {step} of {course.steps}: {parts}; {time.monotonic() - begun_s:.0f} s", flush=True)  # noqa: T201
            loss[:] = 0
    return target


def batches(course: Course) -> Iterator[Batch]:
    """Batches from a process that renders ahead; always the same ones."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Batch] = context.Queue(maxsize=12)
    painter = context.Process(target=_paint, args=(queue, course), daemon=True)
    painter.start()
    try:
        while True:
            yield queue.get(timeout=300)
    finally:
        painter.terminate()


def _paint(queue: Queue[Batch], course: Course) -> None:
    cv2.setNumThreads(1)
    os.nice(1)
    rng = np.random.default_rng((spec.TRAIN_SEED, 1, course.seed))
    corners = anchor_corners()
    pool: list[tuple[npt.NDArray[np.uint8], FloatArray, FloatArray]] = []
    for pixels, truth in training(course.seed, course.empty):
        # A scene costs as much as its training does: each is used twice, the second time in a mirror.
        for seen, found in ((pixels, truth), mirrored(pixels, truth, int(rng.integers(-1, 2)))):
            pool.append((as_input(seen), *match(corners, relative(found, WIDTH, HEIGHT), found.class_id)))
        if len(pool) >= _POOL:
            chosen = [pool.pop(int(rng.integers(len(pool)))) for _ in range(BATCH)]
            queue.put(tuple(np.stack(part) for part in zip(*chosen, strict=True)))  # type: ignore[arg-type]


def _learner(model: Any, average: Any, optimizer: Any) -> Any:
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def learn(pictures: Any, boxes: Any, classes: Any, keep: Any) -> Any:
        inputs = (tf.cast(pictures, tf.float32) - 127.5) / 127.5
        with tf.GradientTape() as tape:
            codes, logits = model(inputs, training=True)
            parts = losses(codes, logits, boxes, classes)
            total = parts[0] + 0.5 * parts[1] + 2.0 * parts[2]
        gradients = tape.gradient(total, model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 10.0)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for kept, new in zip(average.weights, model.weights, strict=True):
            kept.assign(kept * tf.cast(keep, kept.dtype) + new * tf.cast(1 - keep, kept.dtype))
        return parts

    return learn


def losses(codes: Any, logits: Any, boxes: Any, classes: Any) -> tuple[Any, Any, Any]:
    """Focal loss (Lin et al., 2017, arXiv 1708.02002), smooth L1 on the codes, 1 - GIoU (arXiv 1902.09630)."""
    positive = tf.cast(classes >= 0, tf.float32)
    counted = tf.cast(classes > IGNORED, tf.float32)[..., None]
    many = tf.maximum(tf.reduce_sum(positive), 1.0)
    wanted = tf.one_hot(tf.cast(tf.maximum(classes, -1.0), tf.int32), spec.NUM_CLASSES)
    score = tf.sigmoid(logits)
    surprise = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
    missed = tf.abs(wanted - score)
    focal = (wanted * 0.35 + (1 - wanted) * 0.65) * missed**2 * surprise
    own = tf.constant(anchors(spec.HEADS))
    difference = tf.abs(codes - _encode(boxes, own))
    smooth = tf.where(difference < 0.5, difference**2, difference - 0.25)
    giou = _giou(_decode(codes, own), boxes)
    return (
        tf.reduce_sum(focal * counted) / many,
        tf.reduce_sum(tf.reduce_mean(smooth, axis=-1) * positive) / many,
        tf.reduce_sum((1 - giou) * positive) / many,
    )


def _encode(boxes: Any, own: Any) -> Any:
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2
    size = tf.maximum(boxes[..., 2:] - boxes[..., :2], 1e-4)
    place = (centre - own[:, 1::-1]) / own[:, 3:1:-1] / 0.1
    return tf.concat([place, tf.math.log(size / own[:, 3:1:-1]) / 0.2], axis=-1)


def _decode(codes: Any, own: Any) -> Any:
    centre = own[:, 1::-1] + codes[..., :2] * 0.1 * own[:, 3:1:-1]
    half = 0.5 * own[:, 3:1:-1] * tf.exp(tf.clip_by_value(codes[..., 2:] * 0.2, -4.0, 4.0))
    return tf.concat([centre - half, centre + half], axis=-1)


def _giou(left: Any, right: Any) -> Any:
    common = _area(tf.maximum(left[..., :2], right[..., :2]), tf.minimum(left[..., 2:], right[..., 2:]))
    around = _area(tf.minimum(left[..., :2], right[..., :2]), tf.maximum(left[..., 2:], right[..., 2:]))
    union = _area(left[..., :2], left[..., 2:]) + _area(right[..., :2], right[..., 2:]) - common
    return common / (union + 1e-9) - (around - union) / (around + 1e-9)


def _area(low: Any, high: Any) -> Any:
    return tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
