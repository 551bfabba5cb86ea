"""Bundles: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import bundle as bundles
from agent import config as agent_config
from agent.bundle import Golden, Manifest, generate_key, make, read, read_public_key, read_secret_key, unpack
from agent.bundle.minisign import write_private
from agent.config import Config
from agent.errors import AgentError, ConfigError, ModelError, StorageError

KEY = generate_key()


def parts(folder: Path) -> dict[str, Path]:
    (folder / "model").write_bytes(b"\x10\0\0\0TFL3" + bytes(range(200)))
    (folder / "labels").write_text("cat\ndog\n")
    return {"model.tflite": folder / "model", "labels.txt": folder / "labels"}


def manifest(**changes: object) -> Manifest:
    return Manifest(**{"name": "parts", "version": "1.2.0", "seq": 3, "files": {}, **changes})  # type: ignore[arg-type]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return make(tmp_path / "parts-1.2.0.bundle", manifest(), parts(tmp_path), KEY).path


def rewritten(path: Path, target: Path, change: dict[str, bytes | None]) -> Path:
    """A copy with entries replaced, added or (None) left out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        names = [*old.namelist(), *(name for name in change if name not in old.namelist())]
        for name in names:
            data = change.get(name, old.read(name) if name in old.namelist() else None)
            if data is not None:
                new.writestr(name, data)
    return target


def test_round_trip(good: Path, tmp_path: Path) -> None:
    found = read(good, [KEY.public])
    assert (found.manifest.name, found.manifest.version, found.manifest.seq) == ("parts", "1.2.0", 3)
    assert found.signed_by == "parts 1.2.0 seq 3"
    folder = unpack(found, tmp_path / "slots")
    assert (folder / "model.tflite").read_bytes() == (tmp_path / "model").read_bytes()
    assert unpack(found, tmp_path / "slots") == folder, "a second time it is reused"
    assert [path.name for path in (tmp_path / "slots").iterdir()] == [folder.name], "nothing else is left there"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one = make(tmp_path / "a.bundle", manifest(), parts(tmp_path), KEY)
    other = make(tmp_path / "b.bundle", manifest(), parts(tmp_path), KEY)
    assert one.sha256 == other.sha256


def test_signatures(good: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="signed by key"):
        read(good, [generate_key().public])
    assert read(good, [generate_key().public, KEY.public]).signed_by, "one of two trusted keys is enough: rotation"
    unsigned = make(tmp_path / "u.bundle", manifest(), parts(tmp_path)).path
    assert read(unsigned).signed_by is None
    with pytest.raises(ModelError, match="not signed"):
        read(unsigned, [KEY.public])
    signature = zipfile.ZipFile(good).read("manifest.json.minisig")
    comment = rewritten(good, tmp_path / "c.bundle", {"manifest.json.minisig": signature.replace(b"seq 3", b"seq 4")})
    with pytest.raises(ModelError, match="changed after it was signed"):
        read(comment, [KEY.public])
    text = json.loads(zipfile.ZipFile(good).read("manifest.json"))
    text["seq"] = 99
    forged = rewritten(good, tmp_path / "f.bundle", {"manifest.json": json.dumps(text).encode()})
    with pytest.raises(ModelError, match="changed after it was signed"):
        read(forged, [KEY.public])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"manifest.json": None}, "no manifest.json"),
        ({"model.tflite": None}, "no model.tflite"),
        ({"model.tflite": b"other"}, "not what the manifest says"),
        ({"extra.txt": b"x"}, "not in the manifest"),
        ({"manifest.json": b"{}"}, "manifest.json"),
        ({"manifest.json": b"\xff\xfe"}, "manifest.json"),
        ({"../evil": b"x"}, "not allowed"),
        ({"/etc/evil": b"x"}, "not allowed"),
        ({"a\\b": b"x"}, "not allowed"),
        ({"c:evil": b"x"}, "not allowed"),
    ],
)
def test_what_does_not_belong_is_refused(
    good: Path, tmp_path: Path, change: dict[str, bytes | None], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        read(rewritten(good, tmp_path / "bad.bundle", change))


def test_links_duplicates_and_bombs_are_refused(good: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = tmp_path / "link.bundle"
    shutil.copy(good, linked)
    with zipfile.ZipFile(linked, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ModelError, match="no plain file"):
        read(linked)
    double = tmp_path / "double.bundle"
    shutil.copy(good, double)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(double, "a") as archive:
        archive.writestr("model.tflite", b"x")
    with pytest.raises(ModelError, match="twice"):
        read(double)
    bomb = tmp_path / "bomb.bundle"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (300 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match="unfolds to"):
        read(bomb)


def test_files_that_are_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path, words in ((tmp_path / "none", "no such file"), (tmp_path, "folder"), (tmp_path / "text", "no bundle")):
        with pytest.raises(ModelError, match=words):
            read(path)


def test_a_newer_format_is_refused_by_its_number(good: Path, tmp_path: Path) -> None:
    text = json.loads(zipfile.ZipFile(good).read("manifest.json"))
    text["format"] = 2
    with pytest.raises(ModelError, match="format 2 is newer"):
        read(rewritten(good, tmp_path / "n.bundle", {"manifest.json": json.dumps(text).encode()}))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_no_mutation_is_taken_or_crashes(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(len(raw) // 2, len(raw)))
    path = tmp_path / "mutated.bundle"
    path.write_bytes(bytes(raw[:cut]))
    try:
        found = read(path, [KEY.public])
    except AgentError:
        return
    original = read(good, [KEY.public])
    assert found.manifest == original.manifest, "what is let in is exactly what was signed"


def test_the_manifest_sets_what_the_board_left_at_its_default(good: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "t.bundle", manifest(score_threshold=0.7, iou_threshold=0.4), parts(tmp_path)).path
    folder = unpack(read(made), tmp_path / "slots")
    board = agent_config.override(Config(), {"model.bundle": str(made), "model.iou_threshold": 0.3})
    config = bundles.apply(board, read(made), folder)
    assert config.model.score_threshold == 0.7
    assert config.model.iou_threshold == 0.3, "the board's own setting wins"
    assert config.model.path == str(folder / "model.tflite")
    assert config.model.labels == str(folder / "labels.txt")


def test_a_setting_that_was_written_down_wins_even_where_it_is_the_default(good: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "t.bundle", manifest(score_threshold=0.7, iou_threshold=0.4), parts(tmp_path)).path
    bundle, folder = read(made), tmp_path / "slots"
    board = agent_config.parse(f'[model]\nbundle = "{made}"\nscore_threshold = 0.5\nclass_thresholds = {{}}\n')
    assert bundles.apply(board, bundle, folder).model.score_threshold == 0.5, "it stands in the file"
    assert bundles.apply(board, bundle, folder).model.iou_threshold == 0.4, "it does not"
    told = agent_config.override(Config(), {"model.bundle": str(made), "model.iou_threshold": 0.5})
    assert bundles.apply(told, bundle, folder).model.iou_threshold == 0.5, "it was said on the command line"
    assert bundles.apply(told, bundle, folder).model.score_threshold == 0.7
    desired = agent_config.overlaid(told, {"model.score_threshold": 0.5})
    assert bundles.apply(desired, bundle, folder).model.score_threshold == 0.5
    assert bundles.apply(desired, bundle, folder).model.iou_threshold == 0.5


def test_the_written_settings_pin_nothing_that_the_manifest_gives(good: Path, tmp_path: Path) -> None:
    board = agent_config.override(Config(), {"model.bundle": str(good), "model.iou_threshold": 0.5})
    again = agent_config.parse(agent_config.to_toml(board))
    assert again == board
    assert "model.iou_threshold" in again.given
    assert not {"model.score_threshold", "model.color", "model.mean"} & again.given


def test_golden_frames_survive(tmp_path: Path) -> None:
    golden = [Golden(picture="golden/1.jpg", xyxy=[(1, 2, 3, 4)], confidence=[0.5], label=["cat"])]
    (tmp_path / "1.jpg").write_bytes(b"jpg")
    files = {**parts(tmp_path), "golden/1.jpg": tmp_path / "1.jpg"}
    assert read(make(tmp_path / "g.bundle", manifest(golden=golden), files).path).manifest.golden == golden


def test_a_folder_that_cannot_be_written(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be unpacked"):
        unpack(read(good), tmp_path / "file" / "slots")


def test_keys_in_files(tmp_path: Path) -> None:
    write_private(tmp_path / "key", KEY.text())
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(StorageError, match="never written over"):
        write_private(tmp_path / "key", KEY.text())
    (tmp_path / "key.pub").write_text(KEY.public.text())
    assert read_secret_key(tmp_path / "key") == KEY
    assert read_public_key(tmp_path / "key.pub") == KEY.public
    for name, text in {"empty": "", "words": "a\nb\n", "short": "untrusted comment: x\nAAAA\n"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match="no minisign"):
            read_public_key(tmp_path / name)
        with pytest.raises(ConfigError, match="no minisign"):
            read_secret_key(tmp_path / name)
    assert KEY.seed.hex() not in repr(KEY)


def test_minisign_itself_verifies_ours_and_we_verify_its(tmp_path: Path) -> None:
    if shutil.which("minisign") is None:
        if os.environ.get("CI"):
            pytest.fail("minisign is not installed")
        pytest.skip("minisign is not installed")

    def minisign(*arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["minisign", *arguments], cwd=tmp_path, input=answers, capture_output=True, text=True, check=False
        )

    data = b"manifest" * 1000
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "ours.pub").write_text(KEY.public.text())
    (tmp_path / "file.minisig").write_text(KEY.sign(data, "a comment"))
    assert minisign("-V", "-p", "ours.pub", "-m", "file").returncode == 0
    (tmp_path / "file").write_bytes(data + b"!")
    assert minisign("-V", "-p", "ours.pub", "-m", "file").returncode != 0
    write_private(tmp_path / "ours", KEY.text())
    assert (
        minisign("-S", "-s", "ours", "-m", "file", "-x", "theirs.minisig", "-t", "theirs", answers="\n").returncode == 0
    )
    assert KEY.public.verify(data + b"!", (tmp_path / "theirs.minisig").read_text()) == "theirs"
    assert minisign("-G", "-p", "m.pub", "-s", "m.key", answers="secret\nsecret\n").returncode == 0
    locked = read_secret_key(tmp_path / "m.key", "secret")
    assert locked.public == read_public_key(tmp_path / "m.pub")
    with pytest.raises(ConfigError, match="password"):
        read_secret_key(tmp_path / "m.key", "wrong")


def test_hash_of_the_archive_is_what_sha256sum_says(good: Path) -> None:
    assert read(good).sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
