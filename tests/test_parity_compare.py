"""Two sides, each in its child process, on real frames; and the ways in which one of them fails."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest

from agent.config import Config, ModelConfig, RuntimeConfig, override
from agent.errors import CameraError
from agent.parity import Tolerance, compare, json_text, plan_side, schema, text
from agent.parity.pictures import Pictures
from agent.records import Pixels
from tests.cases import COCO, edge_agent, make_clip
from tests.delegates import Delegates
from tests.models import demo_file
from tests.tiny import heads

WIDE = Tolerance(lone_share=1.0)


@pytest.fixture(scope="module")
def demo() -> Config:
    return override(Config(), {"model.bundle": "demo:", "camera.uri": "demo:"})


@pytest.fixture(scope="module")
def frames(demo: Config) -> list[Pixels]:
    return list(Pictures(demo, 16))


@pytest.fixture
def folder(assets: Path, tmp_path: Path) -> Path:
    """Three pictures, and one that is none."""
    for name in ("pets.jpg", "cats_and_dogs.jpg", "cat_720p.jpg"):
        (tmp_path / "frames").mkdir(exist_ok=True)
        (tmp_path / "frames" / name).write_bytes((assets / "images/misc" / name).read_bytes())
    (tmp_path / "frames" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path / "frames"


def test_a_side_agrees_with_itself(demo: Config, frames: list[Pixels]) -> None:
    found = compare(plan_side("one", demo), plan_side("other", demo), frames, WIDE)
    assert found.verdict == "same"
    assert (found.figures.frames, found.figures.missed, found.figures.extra) == (16, 0, 0)
    assert found.figures.pairs > 20
    assert found.raw is not None
    assert found.raw.max_score == 0.0
    assert "the same model run in the same way" in found.notes[0]
    assert found.exit_code == 0


def test_identical_outputs_are_the_same_however_few_boxes_there_are(demo: Config, frames: list[Pixels]) -> None:
    one, narrow = plan_side("one", demo), Tolerance(lone_share=0.0001)
    found = compare(one, plan_side("other", demo), frames, narrow)
    assert (found.verdict, found.reason) == ("same", "identical outputs in all 16 frames")
    few = compare(one, plan_side("other", demo), frames[:8], narrow)
    assert few.verdict == "cannot tell", "below the least number nothing is judged"
    threshold = override(demo, {"model.score_threshold": 0.99})
    assert compare(one, plan_side("other", threshold), frames, narrow).verdict != "same"


def test_two_threads_lose_a_class_of_a_graph_with_regular_suppression(demo: Config, frames: list[Pixels]) -> None:
    """tensorflow/tensorflow issue 56058, still so in LiteRT 2.3.0 and tflite-runtime 2.14: class 2 is the washer."""
    other = override(demo, {"runtime.num_threads": 2})
    found = compare(plan_side("one", demo), plan_side("other", other), frames, Tolerance(0.01))
    assert found.verdict == "differs"
    assert [item.name for item in found.classes] == ["washer"]
    assert found.exit_code == 65
    card = plan_side("one", demo).plan.card
    assert [card.lost_class(threads) for threads in (1, 2, 3, 4, 5, 6, 7)] == [None, 2, 3, 4, 5, None, None]


def test_another_threshold_shows_as_missed_boxes_and_is_said(demo: Config, frames: list[Pixels]) -> None:
    other = override(demo, {"model.score_threshold": 0.99})
    found = compare(plan_side("one", demo), plan_side("other", other), frames)
    assert found.figures.missed > 0
    assert found.figures.extra == 0
    assert any("score thresholds" in note for note in found.notes)
    assert found.raw is not None
    assert found.raw.max_score == 0.0, "the models answer the same; only the thresholds differ"


def test_other_labels_are_said(demo: Config, frames: list[Pixels], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("bolt\nnut\nring\ngear\nbearing\nspring\n")
    side = plan_side("one", demo)
    other = override(side.config, {"model.labels": str(tmp_path / "labels.txt")})
    found = compare(side, plan_side("other", other), frames)
    assert any("name other classes (ring, washer)" in note for note in found.notes)
    assert {item.name for item in found.classes} == {"ring", "washer"}


@pytest.mark.parametrize(
    ("order", "words", "code"),
    [
        ("crash-invoke", "crashes the runtime (SIGSEGV)", 65),
        pytest.param("hang-invoke", "no answer within 2 s", 65, marks=pytest.mark.slow),
        ("refuse", "no device of mine", 75),
    ],
)
def test_a_side_that_fails_is_a_row(delegates: Delegates, tmp_path: Path, order: str, words: str, code: int) -> None:
    path = heads(4, 4).write(tmp_path / "m.tflite")
    anchors = {"maps": [{"rows": 3, "cols": 4, "sizes": [[0.5, 0.5]]}]}
    raw = {"path": str(path), "heads": anchors}
    good = Config(model=msgspec.convert(raw, ModelConfig))
    patience_s = 2.0 if order == "hang-invoke" else 60.0
    runtime = RuntimeConfig(delegate=str(delegates.whole), delegate_options={"do": order}, prove_timeout_s=patience_s)
    bad = msgspec.structs.replace(good, runtime=runtime)
    found = compare(plan_side("one", good), plan_side("other", bad), [np.zeros((4, 4, 3), np.uint8)])
    assert found.verdict == "cannot tell"
    assert [side.state for side in found.sides] == ["ok", "failed"]
    assert words in found.sides[1].reason
    assert found.exit_code == code
    assert "FAILED: " in text(found)


def test_zero_frames_cannot_be_told(demo: Config) -> None:
    found = compare(plan_side("one", demo), plan_side("other", demo), [])
    assert (found.verdict, found.exit_code) == ("cannot tell", 75)
    assert "neither side sees anything in 0 frames" in found.reason


def test_the_json_is_of_its_schema(demo: Config, frames: list[Pixels]) -> None:
    found = compare(plan_side("one", demo), plan_side("other", demo), frames[:2])
    jsonschema.validate(json.loads(json_text(found)), schema())


def test_a_clip_gives_each_of_its_frames_once(assets: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.avi", assets / "images/misc/pets.jpg", 7)
    config = override(Config(), {"camera.uri": str(clip)})
    assert len(list(Pictures(config, 100))) == 7
    assert len(list(Pictures(config, 3))) == 3


def test_a_camera_that_gives_nothing_is_told_with_what_to_do_about_the_service() -> None:
    fast = {"camera.uri": "/dev/video87", "camera.open_timeout_s": 0.1, "camera.stall_s": 0.1}
    with pytest.raises(CameraError, match=r"video87: no picture: .*; where the service holds it, stop the service"):
        list(Pictures(override(Config(), fast), 5))


class TestCommand:
    def test_on_a_folder_with_a_broken_picture(self, assets: Path, folder: Path) -> None:
        ended = edge_agent("parity", "--model", assets / COCO, "--camera", folder, "--other-threads", 2, "--json")
        assert ended.returncode == 75, ended.stderr
        told = json.loads(ended.stdout)
        assert told["verdict"] == "cannot tell", "three frames prove nothing"
        assert (told["figures"]["frames"], told["corrupt_frames"]) == (3, 1)
        assert (told["figures"]["missed"], told["figures"]["extra"]) == (0, 0)
        jsonschema.validate(told, schema())

    def test_another_file_keeps_what_the_bundle_says_of_the_model(self, tmp_path: Path) -> None:
        other = tmp_path / "float.tflite"
        other.write_bytes(demo_file("float.tflite"))
        arguments = ("--bundle", "demo:", "--camera", "demo:", "--frames", 4, "--other-model", other, "--json")
        told = json.loads(edge_agent("parity", *arguments).stdout)
        assert not [note for note in told["notes"] if "threshold" in note or "name other classes" in note]
        assert not [item["name"] for item in told["classes"] if item["name"].startswith("class ")]

    @pytest.mark.slow
    def test_prints_a_table(self, folder: Path, assets: Path) -> None:
        ended = edge_agent("parity", "--model", assets / COCO, "--camera", folder, "--other-delegate", "none")
        for word in ("side ", "mean IoU of pairs", "cannot tell: ", "1 corrupt frames were left out"):
            assert word in ended.stdout

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (("--model", "gone.tflite", "--camera", "demo:"), 65, "gone.tflite"),
            (("--bundle", "demo:", "--camera", "gone.mp4"), 66, "gone.mp4"),
            (("--bundle", "demo:", "--camera", "demo:", "--other-model", "gone.tflite"), 65, "gone.tflite"),
            (("--bundle", "demo:", "--camera", "demo:", "--frames", "0"), 2, "--frames"),
        ],
    )
    def test_refusals(self, arguments: tuple[str, ...], code: int, words: str) -> None:
        ended = edge_agent("parity", *arguments)
        assert ended.returncode == code, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
