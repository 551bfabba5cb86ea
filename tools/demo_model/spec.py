"""The numbers that make the demo model what it is: input, anchors, seeds. Pure."""

from __future__ import annotations

from agent.camera.rendered import CLASSES
from agent.records import AnchorMap, Heads

WIDTH, HEIGHT = 256, 192
"""Input of the network, pixels; a picture of 640 x 480 keeps its proportions."""

NAME, VERSION, SEQ = "demo-parts", "1.0.0", 1

SCORE_THRESHOLD, IOU_THRESHOLD = 0.4, 0.5

# Width and height in input pixels: the medians of 11 clusters of 3,300 rendered boxes (k-means on IoU), spread over
# three maps of 8, 16 and 32 pixels a cell.
_SIZES = (
    ((8, 20), (18, 10), (13, 15), (17, 19)),
    ((12, 28), (24, 17), (21, 24), (26, 30)),
    ((20, 42), (30, 36), (40, 44), (42, 28)),
)

HEADS = Heads(
    maps=tuple(
        AnchorMap(HEIGHT // stride, WIDTH // stride, tuple((width / WIDTH, height / HEIGHT) for width, height in sizes))
        for stride, sizes in zip((8, 16, 32), _SIZES, strict=True)
    ),
    box_order="yxhw",
    variances=(0.1, 0.1, 0.2, 0.2),
    score_activation="sigmoid",
    background=False,
)

NUM_CLASSES = len(CLASSES)

TRAIN_SEED, CALIBRATION_SEED, HELD_OUT_SEED, GOLDEN_SEED = 1_000, 800_000, 900_000, 700_000
"""First seeds of four sets of scenes that never meet."""
