"""The command line as a user meets it: what works, and every refusal as one line with its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.cases import COCO, PERSON_CLIP, edge_agent, json_lines, make_clip


@pytest.fixture(scope="module")
def clip(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "cats.avi", assets / "images/misc/cats_and_dogs.jpg", 12)


def refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line that says what was wrong, and the exit code."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("edge-agent: ")
    assert "Traceback" not in result.stderr
    assert "bug" not in lines[0]
    for word in words:
        assert word in lines[0]


def test_detect_prints_boxes_and_draws_them(assets: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "boxes.png"
    picture = assets / "images/misc/cats_and_dogs.jpg"
    result = edge_agent("detect", picture, "--model", assets / COCO, "--annotate", drawn)
    assert result.returncode == 0, result.stderr
    answer = json_lines(result.stdout)[0]
    assert (answer["width"], answer["height"]) == (1200, 600)
    assert [found["label"] for found in answer["detections"]] == ["cat", "cat", "cat", "dog"]
    changed = cv2.absdiff(cv2.imread(str(picture)), cv2.imread(str(drawn)))
    left, top, _, bottom = (round(side) for side in answer["detections"][0]["xyxy"])
    assert changed[(top + bottom) // 2, left].max() > 20, "the left side of the first box is drawn"
    assert changed[5, 5].max() == 0, "the rest of the picture is as it was"


def test_detect_takes_several_pictures_into_a_folder(assets: Path, tmp_path: Path) -> None:
    pictures = [assets / "images/misc/pets.jpg", assets / "images/misc/cat_720p.jpg"]
    result = edge_agent("detect", *pictures, "--model", assets / COCO, "--annotate", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert len(json_lines(result.stdout)) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cat_720p.boxes.jpg", "pets.boxes.jpg"]


def test_run_to_the_end_of_a_file_gives_every_frame_and_a_summary(assets: Path, clip: Path) -> None:
    result = edge_agent("run", "--camera", clip, "--model", assets / COCO, "--pace", "fast", "--json")
    assert result.returncode == 0, result.stderr
    *frames, last = json_lines(result.stdout)
    assert [frame["sequence"] for frame in frames] == list(range(1, 13))
    assert last["summary"]["frames"] == 12
    assert last["summary"]["ended"] == "end of file"
    assert last["summary"]["dropped"] == 0
    assert last["summary"]["stages"]["invoke"]["p50_s"] > 0
    assert "cat" in {found["label"] for frame in frames for found in frame["detections"]}


def test_run_prints_a_table_for_people(assets: Path, clip: Path) -> None:
    result = edge_agent("run", "--camera", clip, "--model", assets / COCO, "--pace", "fast")
    assert result.returncode == 0, result.stderr
    for word in ("12 frames", "end of file", "p99", "invoke", "capture to decision", "MiB"):
        assert word in result.stdout


def test_run_writes_annotated_frames_all_of_them(assets: Path, clip: Path, tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    arguments = ("run", "--camera", clip, "--model", assets / COCO, "--pace", "fast", "--annotate")
    assert edge_agent(*arguments, video).returncode == 0
    reader = cv2.VideoCapture(str(video))
    frames = 0
    while reader.read()[0]:
        frames += 1
    assert frames == 12
    assert edge_agent(*arguments, tmp_path / "frames").returncode == 0
    assert len(list((tmp_path / "frames").glob("*.jpg"))) == 12


def test_run_ends_after_so_many_frames_or_seconds(assets: Path, clip: Path) -> None:
    arguments = ("run", "--camera", clip, "--model", assets / COCO, "--loop", "--pace", "fast", "--json")
    by_frames = json_lines(edge_agent(*arguments, "--frames", 3).stdout)[-1]["summary"]
    assert (by_frames["frames"], by_frames["ended"]) == (3, "frames")
    by_seconds = json_lines(edge_agent(*arguments, "--seconds", "0.5").stdout)[-1]["summary"]
    assert by_seconds["ended"] == "seconds"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly_with_the_summary(assets: Path, clip: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "agent", "run", "--camera", str(clip), "--model", str(assets / COCO), "--loop"]
    child = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(number)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert json.loads(output.splitlines()[-1])["summary"]["ended"] == "stopped"
    assert "Traceback" not in errors


def test_check_says_what_works_and_what_does_not(assets: Path, clip: Path) -> None:
    result = edge_agent("check", "--camera", clip, "--model", assets / COCO, "--json")
    assert result.returncode == 0, result.stdout
    assert [(line["part"], line["ok"]) for line in json_lines(result.stdout)] == [
        ("config", True),
        ("state", True),
        ("model", True),
        ("camera", True),
        ("broker", True),
    ]
    result = edge_agent("check", "--camera", "/nowhere.mp4", "--model", assets / COCO)
    assert result.returncode == 66
    assert "ok   model" in result.stdout, "one failure does not keep the next part from being tried"
    assert "FAIL camera" in result.stdout


def test_check_refused_by_a_broker_is_69(assets: Path, clip: Path, tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text('[mqtt]\nhost = "127.0.0.1"\nport = 1\n')
    result = edge_agent("check", "--camera", clip, "--model", assets / COCO, "--config", settings)
    assert result.returncode == 69, result.stdout
    assert "FAIL broker: " in result.stdout


def test_run_without_its_broker_measures_on(assets: Path, clip: Path, tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = 1\n[device]\nstate_dir = "{tmp_path}/state"\n')
    arguments = ("--camera", clip, "--model", assets / COCO, "--pace", "fast", "--json")
    result = edge_agent("run", *arguments, "--config", settings)
    assert result.returncode == 0, result.stderr
    assert json_lines(result.stdout)[-1]["summary"]["frames"] == 12
    assert result.stderr.count("127.0.0.1") <= 2, "an absent broker is told once"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[camera]\nstal_s = 3", ("camera.stal_s", "stall_s")),
        ('[camera]\nstall_s = "three"', ("camera.stall_s", "number", "text")),
        ("[model]\nscore_threshold = 1.5", ("model.score_threshold", "<= 1")),
        ("[camera\n", ("not valid TOML",)),
        ("[mqtt]\ncert_file = 'x'", ("mqtt.cert_file", "key_file")),
    ],
)
def test_a_wrong_setting_is_78(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text(text)
    refused(edge_agent("run", "--config", settings), 78, str(settings), *words)


def test_every_file_that_is_not_what_it_should_be(assets: Path, clip: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((assets / COCO).read_bytes()[:2_000_000])
    model, picture = assets / COCO, assets / "images/misc/pets.jpg"
    refused(edge_agent("run", "--config", tmp_path / "no.toml"), 78, "no such file", "config init")
    refused(edge_agent("run", "--config", tmp_path), 78, "folder")
    refused(edge_agent("run", "--camera", clip), 78, "--model")
    refused(edge_agent("run", "--model", model), 66, "camera")
    refused(edge_agent("run", "--camera", clip, "--model", tmp_path / "no.tflite"), 65, "no such file")
    refused(edge_agent("run", "--camera", clip, "--model", empty), 65, "empty")
    refused(edge_agent("run", "--camera", clip, "--model", tmp_path), 65, "folder")
    refused(edge_agent("run", "--camera", clip, "--model", cut), 65, "damaged")
    refused(edge_agent("run", "--camera", clip, "--model", picture), 65, "not a TFLite model")
    refused(edge_agent("run", "--camera", clip, "--model", model, "--labels", empty), 65, "empty")
    refused(edge_agent("run", "--camera", clip, "--model", model, "--labels", picture), 65, "no text")
    refused(edge_agent("run", "--camera", empty, "--model", model), 66, "empty")
    refused(edge_agent("run", "--camera", tmp_path / "no.mp4", "--model", model), 66, "no such file")
    refused(edge_agent("run", "--camera", cut, "--model", model), 66, "cut.tflite")
    refused(edge_agent("detect", tmp_path / "no.jpg", "--model", model), 66, "no such file")
    refused(edge_agent("detect", empty, "--model", model), 66, "empty")
    refused(edge_agent("run", "--bundle", empty, "--camera", clip), 65, "no bundle")
    refused(edge_agent("run", "--camera", clip, "--model", model, "--delegate", "edgetpu"), 75, "libedgetpu")
    refused(edge_agent("run", "--camera", clip, "--model", model, "--annotate", "/proc/x.mp4"), 74, "/proc/x.mp4")


def test_a_live_camera_that_is_not_there_is_66_for_a_person(assets: Path, tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text("[camera]\nopen_timeout_s = 0.5\nstall_s = 0.5\n")
    arguments = ("--config", settings, "--camera", "/dev/video99", "--model", assets / COCO)
    refused(edge_agent("run", *arguments), 66, "/dev/video99")


def test_a_run_that_never_saw_a_picture_is_no_success(assets: Path) -> None:
    arguments = ("--camera", "/dev/video99", "--model", assets / COCO, "--seconds", "1")
    refused(edge_agent("run", *arguments), 66, "/dev/video99", "no picture")


def test_under_systemd_a_camera_that_is_not_there_is_waited_for(assets: Path, tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text("[camera]\nopen_timeout_s = 0.2\nstall_s = 0.2\n")
    arguments = ("--config", settings, "--camera", "/dev/video99", "--model", assets / COCO, "--seconds", "2", "--json")
    result = edge_agent("run", *arguments, INVOCATION_ID="0123")
    assert result.returncode == 0, result.stderr
    summary = json_lines(result.stdout)[-1]["summary"]
    assert summary["frames"] == 0
    assert summary["blind_s"] > 1.5, "no answer is not no objects: the time is counted"


def test_detect_says_at_once_that_one_file_cannot_take_two_pictures(assets: Path, tmp_path: Path) -> None:
    pictures = [assets / "images/misc/pets.jpg"] * 2
    result = edge_agent("detect", *pictures, "--model", assets / COCO, "--annotate", tmp_path / "out.jpg")
    assert result.returncode == 2
    assert "give a folder" in result.stderr
    assert not result.stdout, "nothing is done first"


def test_a_bug_says_how_to_see_more(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ZeroDivisionError('as if')\n")
    arguments = ("detect", assets / "images/misc/pets.jpg", "--model", assets / COCO)
    result = edge_agent(*arguments, PYTHONPATH=str(tmp_path))
    assert result.returncode == 70
    assert result.stderr.count("\n") == 1
    assert "EDGE_AGENT_DEBUG=1" in result.stderr
    told = edge_agent(*arguments, PYTHONPATH=str(tmp_path), EDGE_AGENT_DEBUG="1")
    assert "Traceback" in told.stderr


def test_usage_errors_are_2() -> None:
    assert edge_agent("run", "--backend", "tpu").returncode == 2
    assert edge_agent("run", "--seconds", "soon").returncode == 2
    assert edge_agent("fly").returncode == 2


def test_config_init_writes_over_a_file_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "agent.toml"
    assert edge_agent("config", "init", target).returncode == 0
    before = target.read_text()
    refused(edge_agent("config", "init", target), 74, "--force")
    assert target.read_text() == before
    target.write_text(before + "# mine\n")
    target.chmod(0o640)
    assert edge_agent("config", "init", target, "--force").returncode == 0
    assert (target.read_text(), target.stat().st_mode & 0o777) == (before, 0o640)
    assert edge_agent("config", "show", "--config", target).returncode == 0


def test_config_explain_knows_every_setting() -> None:
    rows = json_lines(edge_agent("config", "explain", "--json").stdout)
    assert {"camera.stall_s", "mqtt.host", "zones[].polygon"} <= {row["key"] for row in rows}
    assert all(row["description"] for row in rows)
    one = edge_agent("config", "explain", "camera.stall_s")
    assert "stalled" in one.stdout
    refused(edge_agent("config", "explain", "nothing.such"), 78, "nothing.such")


def test_help_teaches_without_paying_for_opencv() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agent", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TERM": "dumb"},
    )
    assert "cv2" not in result.stderr
    assert "Example" in result.stdout


def test_the_run_of_a_clip_finds_its_people(assets: Path) -> None:
    arguments = (
        "--camera",
        assets / PERSON_CLIP,
        "--model",
        assets / COCO,
        "--pace",
        "fast",
        "--frames",
        120,
        "--json",
    )
    *frames, _ = json_lines(edge_agent("run", *arguments, timeout=120).stdout)
    seen = [any(found["label"] == "person" for found in frame["detections"]) for frame in frames]
    assert sum(seen) > 20
    assert not all(seen), "there are gaps between the people"
