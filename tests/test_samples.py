"""`edge-agent samples`: the kept frames in a person's hands."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.camera.rendered import CONDITIONS
from agent.cli import app
from agent.config import Config, SampleConfig
from agent.errors import StorageError
from agent.repair import read_kept
from agent.sample import REASONS, Privacy, Record, SeenBox, picture, read
from agent.samples import as_json, listed, pick, shown, store_folder, with_boxes, write_dataset, write_sheet
from agent.samples.dataset import coco
from agent.samples.text import plain
from tests.cases import edge_agent, json_lines
from tests.conftest import missing
from tests.sampling import Shop, found, scene, taken
from tools.demo_model.scenes import still

DAY_S = 86_400.0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Four frames: two for coverage, one for evidence, one at random without an answer."""
    one = Shop(tmp_path / "samples")
    store = one.opened()
    store.put(taken(1, detections=found((0, 0.9), (1, 0.8), (0, 0.3))))
    store.put(taken(2, "evidence", found((2, 0.55))))
    assert one.wall_s is not None
    one.wall_s += 10 * DAY_S
    store.put(taken(3, "audit"))
    store.put(taken(4, "coverage", found()))
    store.close()
    return one


def told(*words: object) -> str:
    """What the command prints when all is well."""
    done = CliRunner().invoke(app, ["samples", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: object) -> str:
    with pytest.raises(StorageError) as error:
        CliRunner().invoke(app, ["samples", *map(str, words)], catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def rows(shop: Shop, *words: object) -> list[dict[str, Any]]:
    return json_lines(told("list", "--folder", shop.folder, "--json", *words))


def test_the_command_line_lists_and_refuses_in_one_line(shop: Shop) -> None:
    done = edge_agent("samples", "list", "--folder", shop.folder)
    assert done.returncode == 0, done.stderr
    head, *lines, last = done.stdout.splitlines()
    assert head.split() == ["name", "when", "(UTC)", "why", "size", "sees"]
    assert [line.split()[3] for line in lines] == ["coverage", "evidence", "audit", "coverage"]
    assert lines[0].endswith("1 person, 1 cat")
    assert lines[2].endswith("no answer")
    assert lines[3].endswith("nothing")
    assert last.startswith("4 frames, ")
    wrong = edge_agent("samples", "show", "9", "--folder", shop.folder)
    assert wrong.returncode == 74
    assert len(wrong.stderr.splitlines()) == 1
    assert "'9' is not kept" in wrong.stderr


def test_the_folder_is_the_settings_or_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert store_folder(Config()) == tmp_path / "samples"
    assert store_folder(Config(sample=SampleConfig(folder="/mnt/stick"))) == Path("/mnt/stick")
    (tmp_path / "agent.toml").write_text('[sample]\nfolder = "kept"\n')
    shop = Shop(tmp_path / "kept")
    shop.opened().put(taken(1))
    assert "1 frame," in told("list", "--config", tmp_path / "agent.toml")


def test_an_empty_store_is_no_fault(tmp_path: Path) -> None:
    assert told("list", "--folder", tmp_path / "none").startswith("0 frames")
    assert told("list", "--folder", tmp_path / "none", "--json") == ""
    assert told("purge", "--all", "--folder", tmp_path / "none") == "0 frames removed\n"
    assert not (tmp_path / "none").exists()


def test_frames_are_picked_by_reason_name_number_and_age(shop: Shop) -> None:
    names = [row["name"] for row in rows(shop)]
    assert [row["name"] for row in rows(shop, "--why", "coverage")] == [names[0], names[3]]
    assert [row["name"] for row in rows(shop, "--last", 2)] == names[2:]
    assert [row["name"] for row in rows(shop, "--last", 9)] == names
    assert [row["name"] for row in rows(shop, "--last", 1, "--why", "coverage")] == names[3:]
    assert [kept.name for kept in pick(shop.folder, ["00000002", names[0], "2"]).kept] == names[:2]
    assert "is not kept; did you mean" in refused("show", names[0][:-1] + "x", "--folder", shop.folder)


def test_json_is_the_record_with_its_picture(shop: Shop) -> None:
    row = rows(shop)[0]
    assert row["why"] == ["coverage"]
    assert cv2.imread(row["picture"]).shape == (120, 160, 3)
    assert row["picture_sha256"] == read(shop.folder).kept[0].record.picture_sha256


def test_show_tells_all_and_draws_the_boxes(shop: Shop, tmp_path: Path) -> None:
    text = told("show", "1", "--folder", shop.folder, "--save", tmp_path / "boxes.png")
    for words in ("why coverage", "so it is", "parts-1.0.0", "2027-01-15", "160 x 120", "person 0.90 at 10 10 80 60"):
        assert words in text
    assert "person 0.30" in text
    assert "(below its threshold)" in text
    drawn, kept = cv2.imread(str(tmp_path / "boxes.png")), cv2.imread(rows(shop)[0]["picture"])
    assert cv2.absdiff(drawn, kept)[40, 10].max() > 20, "the left side of the first box"
    assert cv2.absdiff(drawn, kept)[110, 150].max() == 0
    assert json.loads(told("show", "1", "--folder", shop.folder, "--json"))["sequence"] == 1


def test_an_export_is_a_data_set_that_coco_reads(shop: Shop, tmp_path: Path) -> None:
    if find_spec("pycocotools") is None:
        missing("pycocotools is not installed")
    from pycocotools.coco import COCO

    out = tmp_path / "out"
    assert told("export", out, "--folder", shop.folder) == f"{out}: 4 of 4 frames\n"
    coco = COCO(str(out / "annotations.json"))
    names = [kept.name for kept in read(shop.folder).kept]
    assert [image["file_name"] for image in coco.dataset["images"]] == [f"{name}.jpg" for name in names]
    labels = {category["id"]: (category["class_id"], category["name"]) for category in coco.dataset["categories"]}
    assert labels == {1: (0, "person"), 2: (1, "cat"), 3: (2, "dog")}
    first = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [(labels[each["category_id"]][1], each["bbox"], each["score"]) for each in first] == [
        ("person", [10.0, 10.0, 70.0, 50.0], 0.9),
        ("cat", [15.0, 10.0, 65.0, 51.0], 0.8),
    ], "what was below its threshold is no annotation"
    assert first[0]["area"] == 3500
    assert [image["answered"] for image in coco.dataset["images"]] == [True, True, False, True]
    assert coco.dataset["images"][0]["date_captured"].startswith("2027-01-15")
    assert coco.loadRes(coco.dataset["annotations"]).getAnnIds() == [1, 2, 3]


def test_the_manifest_holds_the_records_and_what_each_picture_is(shop: Shop, tmp_path: Path) -> None:
    write_dataset(shop.folder, pick(shop.folder).kept, tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    for entry, record in zip(manifest["pictures"], manifest["records"], strict=True):
        data = (tmp_path / "out" / entry["file"]).read_bytes()
        assert len(data) == entry["bytes"] == record["picture_bytes"]
        assert entry["sha256"] == record["picture_sha256"]
    assert len(manifest["records"][0]["detections"]) == 3
    again = tmp_path / "again"
    write_dataset(shop.folder, pick(shop.folder).kept, again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()
    }, "the same frames give the same files"


def test_an_export_can_be_handed_to_recalibrate(shop: Shop, tmp_path: Path) -> None:
    told("export", tmp_path / "out", "--folder", shop.folder)
    frames = read_kept(tmp_path / "out").frames
    assert len(frames) == 4, "none is left out"
    for number, pixels in enumerate(frames, 1):
        assert np.abs(pixels.astype(int) - scene(number).astype(int)).mean() < 12, "in the order taken"
    assert len(read_kept(shop.folder).frames) == 4, "and so can the store itself"


def test_frames_without_a_picture_are_left_out_and_said(shop: Shop, tmp_path: Path) -> None:
    shop.privacy = Privacy("statistics")
    name = shop.opened().put(taken(9))
    done = CliRunner().invoke(app, ["samples", "export", str(tmp_path / "out"), "--folder", str(shop.folder)])
    assert done.exit_code == 0
    assert "4 of 5 frames" in done.output
    assert f"left out: {name}: " in done.output
    assert "sample.privacy is statistics" in done.output
    assert name in json.loads((tmp_path / "out/manifest.json").read_text())["left_out"]


def test_an_export_of_nothing_or_onto_something_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no frame is kept that fits" in refused("export", out, "--folder", shop.folder, "--why", "command")
    assert "no frame is kept that fits" in refused("export", tmp_path / "s.jpg", "--folder", tmp_path / "none")
    out.mkdir()
    (out / "mine").write_text("x")
    assert "is there already" in refused("export", out, "--folder", shop.folder)
    (tmp_path / "link").symlink_to(tmp_path)
    assert "is there already" in refused("export", tmp_path / "link", "--folder", shop.folder)
    assert "Not a directory" in refused("export", out / "mine" / "below", "--folder", shop.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out", "samples"]
    (out / "mine").unlink()
    told("export", out, "--folder", shop.folder)
    assert len(list(out.glob("*.jpg"))) == 4


def test_a_disk_that_is_full_leaves_no_half_data_set(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "out: cannot be written: No space left" in refused("export", tmp_path / "out", "--folder", shop.folder)
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_a_class_that_two_models_call_otherwise_is_two_categories(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    store.put(taken(1, detections=found((0, 0.9))))
    name = store.put(taken(2, detections=found((0, 0.9))))
    store.close()
    record = shop.folder / f"{name}.json"
    record.write_text(record.read_text().replace('"person"', '"bolt"'))
    write_dataset(shop.folder, pick(shop.folder).kept, tmp_path / "out")
    found_in = json.loads((tmp_path / "out/annotations.json").read_text())
    assert [(each["id"], each["name"]) for each in found_in["categories"]] == [(1, "bolt"), (2, "person")]
    assert [each["category_id"] for each in found_in["annotations"]] == [2, 1]


def test_a_contact_sheet_shows_every_frame(shop: Shop, tmp_path: Path) -> None:
    assert (
        told("export", tmp_path / "sheet.jpg", "--folder", shop.folder) == f"{tmp_path / 'sheet.jpg'}: 4 of 4 frames\n"
    )
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape == (2 * 274, 2 * 320, 3)
    for number, (top, left) in enumerate([(0, 0), (0, 320), (274, 0), (274, 320)], 1):
        cell = sheet[top : top + 240, left : left + 320].astype(int)
        apart = [np.abs(cv2.resize(scene(other), (320, 240)).astype(int) - cell).mean() for other in range(1, 5)]
        assert int(np.argmin(apart)) + 1 == number
        assert sheet[top + 240 : top + 274, left : left + 320].max() > 150, "it has a caption"
    assert write_sheet(shop.folder, pick(shop.folder).kept[:1], tmp_path / "one.png") == 1
    assert cv2.imread(str(tmp_path / "one.png")).shape == (274, 320, 3)
    assert "cannot be written" in refused("export", tmp_path / "none" / "a.jpg", "--folder", shop.folder)


def test_a_picture_that_rots_is_left_out(shop: Shop, tmp_path: Path) -> None:
    path = Path(rows(shop)[0]["picture"])
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    assert "3 of 4 frames" in told("export", tmp_path / "out", "--folder", shop.folder)
    assert "3 of 4 frames" in told("export", tmp_path / "sheet.png", "--folder", shop.folder)


def test_purge_removes_what_is_named_and_nothing_else(shop: Shop) -> None:
    names = [row["name"] for row in rows(shop)]
    assert told("purge", "2", names[0], "--folder", shop.folder) == "2 frames removed\n"
    assert [row["name"] for row in rows(shop)] == names[2:]
    assert told("purge", "--why", "audit", "--folder", shop.folder) == "1 frame removed\n"
    assert [row["name"] for row in rows(shop)] == names[3:]
    assert sorted(path.suffix for path in shop.folder.iterdir() if path.stem in names) == [".jpg", ".json"]


def test_purge_by_age_goes_by_the_rule_of_the_store(shop: Shop) -> None:
    old = Shop(shop.folder, now_s=0.0, wall_s=0.0)
    store = old.opened()
    name = store.put(taken(8))
    store.close()
    assert told("purge", "--older-than-days", 20_000, "--folder", shop.folder) == "1 frame removed\n"
    assert name not in [row["name"] for row in rows(shop)]
    assert told("purge", "--older-than-days", 20_000, "--folder", shop.folder) == "0 frames removed\n"


def test_purge_all_leaves_nothing_of_ours(shop: Shop) -> None:
    folder = shop.folder
    (folder / "holiday.jpg").write_bytes(b"sun")
    (folder / "00000009-aaaaaaaa.jpg").write_bytes(b"half")
    (folder / ".00000009-aaaaaaaa.json.12").write_bytes(b"half")
    next(iter(folder.glob("00000001-*.json"))).write_bytes(b"damaged")
    assert told("purge", "--all", "--folder", folder) == "4 frames removed\n"
    assert {path.name for path in folder.iterdir()} == {".lock", ".lived", "holiday.jpg"}


def test_purge_all_beside_a_running_agent_leaves_a_frame_in_the_making(shop: Shop) -> None:
    store = shop.opened()
    (shop.folder / "00000009-aaaaaaaa.jpg").write_bytes(b"half")
    assert "4 frames removed; a frame that an agent writes just now may remain" in told(
        "purge", "--all", "--folder", shop.folder
    )
    assert (shop.folder / "00000009-aaaaaaaa.jpg").exists()
    assert store.expire() == 0
    assert store.names == []


@pytest.mark.parametrize("words", [(), ("--all", "1"), ("--all", "--why", "audit"), ("--older-than-days", "-1")])
def test_purge_asks_what_is_meant(shop: Shop, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["samples", "purge", *words, "--folder", str(shop.folder)])
    assert done.exit_code == 2
    assert len(rows(shop)) == 4


def test_a_record_cannot_command_the_terminal(shop: Shop) -> None:
    record = next(iter(shop.folder.glob("00000001-*.json")))
    record.write_text(record.read_text().replace('"person"', '"\\u001b[2Jx"'))
    assert "\x1b" not in told("list", "--folder", shop.folder)
    assert "\x1b" not in told("show", "1", "--folder", shop.folder)
    assert plain("a\x1b[2Jb\n") == "a?[2Jb?"


def test_the_reasons_are_those_of_the_sampler() -> None:
    from agent.cli.samples import Why

    assert set(get_args(get_args(get_args(Why)[0])[0])) == set(REASONS)


ANY_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    ),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=6,
)
FIELDS = sorted({*Record.__struct_fields__, *(f"detections.{name}" for name in SeenBox.__struct_fields__)})


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FIELDS), ANY_JSON)
def test_a_record_from_anywhere_is_shown_or_called_damaged(shop: Shop, field: str, value: object) -> None:
    path = shop.folder / f"{Path(pick(shop.folder, ['2']).kept[0].name)}.json"
    before = path.read_bytes()
    raw = json.loads(before)
    table, _, name = field.rpartition(".")
    (raw["detections"][0] if table else raw)[name] = value
    path.write_text(json.dumps(raw))
    try:
        picked = pick(shop.folder)
        assert len(picked.kept) + len(picked.shelf.damaged) == 4
        assert listed(picked)
        for kept in picked.kept:
            assert shown(shop.folder, kept)
            json.dumps(as_json(shop.folder, kept))
            with contextlib.suppress(StorageError):
                with_boxes(picture(shop.folder, kept.record), kept.record)
        assert coco([kept.record for kept in picked.kept])["images"]
    finally:
        path.write_bytes(before)


def test_a_picture_of_more_pixels_than_can_be_is_left_out(shop: Shop, tmp_path: Path) -> None:
    kept = pick(shop.folder).kept[0]
    data = bytearray((shop.folder / f"{kept.name}.jpg").read_bytes())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = b"\xff\xff\xff\xff"
    (shop.folder / f"{kept.name}.jpg").write_bytes(data)
    record = shop.folder / f"{kept.name}.json"
    raw = json.loads(record.read_bytes()) | {"picture_sha256": hashlib.sha256(data).hexdigest()}
    record.write_text(json.dumps(raw))
    assert "3 of 4 frames" in told("export", tmp_path / "sheet.png", "--folder", shop.folder)
    assert "no picture that can be decoded" in refused(
        "show", "1", "--folder", shop.folder, "--save", tmp_path / "a.png"
    )


def test_damaged_and_foreign_files_are_named(shop: Shop) -> None:
    next(iter(shop.folder.glob("00000001-*.json"))).write_bytes(b"{")
    (shop.folder / "holiday.jpg").write_bytes(b"sun")
    lines = told("list", "--folder", shop.folder).splitlines()
    assert any("00000001-" in line and "is damaged, and goes when the agent starts" in line for line in lines)
    assert lines[-1] == "left alone, not ours or not readable: holiday.jpg"
    name = next(iter(shop.folder.glob("00000001-*.json"))).stem
    assert "is damaged" in refused("show", name, "--folder", shop.folder)


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be read: Not a directory" in refused("list", "--folder", tmp_path / "file")


@pytest.mark.slow
def test_recalibrate_takes_an_export(tmp_path: Path) -> None:
    """The whole way: kept, taken along, and tried as a repair of the demo model."""
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    for number, (pixels, _) in enumerate(still(21, 12, CONDITIONS["day"])):
        store.put(dataclasses.replace(taken(number), pixels=pixels))
    store.close()
    told("export", tmp_path / "out", "--folder", shop.folder)
    done = edge_agent("recalibrate", tmp_path / "out", "--bundle", "demo:", "--dry-run", timeout=110)
    assert done.returncode == 0, done.stderr
    assert "nothing was changed" in done.stdout
