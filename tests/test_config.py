"""Settings: what is refused and how, and that what is written is what is read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from msgspec import inspect

from agent.config import Config, anchored, convert, digest, load, override, parse, settings, template, to_toml
from agent.config.explain import fields_of, unwrap
from agent.errors import ConfigError
from agent.records import MOST_ANCHORS, AnchorMap, Heads

ZONE = '[[zones]]\nname = "door"\npolygon = [[0, 0], [1, 0], [1, 1]]\n'
HEADS = "[model.heads]\nmaps = [{rows = 2, cols = 3, sizes = [[0.1, 0.2]]}]\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse(text, origin="agent.toml")
    message = str(refused.value)
    assert message.startswith("agent.toml: ")
    assert "\n" not in message
    return message.removeprefix("agent.toml: ")


UNKNOWN = {
    "[modle]": "unknown setting 'modle'; did you mean 'model'?",
    "[model]\nscore_treshold = 1": "unknown setting 'model.score_treshold'; did you mean 'score_threshold'?",
    "[mqtt]\nzzzzz = 1": "unknown setting 'mqtt.zzzzz'; known here: host, port, ",
    ZONE + "mod = 1": "unknown setting 'zones[0].mod'; did you mean 'mode'?",
    HEADS.replace("rows", "row"): "unknown setting 'model.heads.maps[0].row'; did you mean 'rows'?",
    HEADS + "variance = [1]": "unknown setting 'model.heads.variance'; did you mean 'variances'?",
}
WRONG = {
    "model = 3": "model: expected table, got integer",
    "[[model]]": "model: expected table, got list",
    "zones = 3": "zones: expected list, got integer",
    "[model]\nscore_threshold = 'a'": "model.score_threshold: expected number, got text (Detections below it",
    "[model]\nscore_threshold = 1.01": "model.score_threshold: expected number <= 1.0 (",
    "[model]\nscore_threshold = -0.1": "model.score_threshold: expected number >= 0.0 (",
    "[model]\nscore_threshold = nan": "model.score_threshold: expected number >= 0.0 (",
    "[model]\nlabel_offset = 1.5": "model.label_offset: expected integer | nothing, got number (Class number",
    "[model]\nlabel_offset = 100000000000000000000": "model.label_offset: expected integer <= 1000 (",
    "[model]\nmean = [1, 'a', 2]": "model.mean[1]: expected number, got text (Subtracted from",
    "[model]\nmean = [1, 2, 3, 4]": "model.mean: expected list of length <= 3 (",
    "[model]\nclass_thresholds = {cat = 2}": "model.class_thresholds[...]: expected number <= 1.0 (Score threshold",
    "[model]\nresize = 'crop'": "model.resize: invalid enum value 'crop'; one of letterbox, stretch (",
    "[camera]\nloop = 1": "camera.loop: expected true or false, got integer (",
    "[camera]\nfps = 1979-05-27": "camera.fps: expected number, got date (",
    f"[camera]\nfps = {'9' * 400}": "camera.fps: number out of range (",
    "[camera]\nwidth = 16385": "camera.width: expected integer <= 16384 (",
    "[camera]\nstall_s = 0": "camera.stall_s: expected number > 0.0 (",
    "[camera]\nfourcc = 'abc'": "camera.fourcc: must be four plain letters, or empty (",
    '[camera]\nfourcc = "MJPG\\n"': "camera.fourcc: must be four plain letters, or empty (",
    "[camera]\nfourcc = 'éééé'": "camera.fourcc: must be four plain letters, or empty (",
    "[device]\nsite = ''": "device.site: must be a-z, 0-9 and - only, 1 to 64 (",
    "[device]\nid = 'A b'": "device.id: must be a-z, 0-9 and - only, at most 64 (",
    "[homeassistant]\nprefix = 'a//b'": "homeassistant.prefix: must be letters, digits, _ and - only",
    "[prometheus]\ntextfile = 'a.txt'": "prometheus.textfile: must be a file whose name ends in .prom",
    '[device]\nid = "cam1\\n"': "device.id: must be a-z, 0-9 and - only, at most 64 (",
    "[mqtt]\nport = true": "mqtt.port: expected integer, got true or false (",
    "[mqtt]\nport = 65536": "mqtt.port: expected integer <= 65535 (",
    ZONE.replace('name = "door"\n', ""): "zones[0]: object missing required field name",
    ZONE.replace(", [1, 1]", ""): "zones[0].polygon: expected list of length >= 3 (Corners",
    ZONE.replace("[1, 1]", "[1, 1.5]"): "zones[0].polygon[2][1]: expected number <= 1.0 (Corners",
    "[model]\nheads = 3": "model.heads: expected table | nothing, got integer",
    "[model.heads]": "model.heads: object missing required field maps",
    "[model.heads]\nmaps = []": f"model.heads: the maps lay out 0 anchors; 1 to {MOST_ANCHORS} can be",
    HEADS.replace("rows = 2", "rows = 0"): "model.heads.maps[0]: 0 x 3 cells of 1 anchors lay out nothing",
    HEADS.replace("rows = 2", "rows = -2"): "model.heads.maps[0]: -2 x 3 cells",
    HEADS.replace("rows = 2", "rows = 1000000000"): "model.heads: the maps lay out 3000000000 anchors",
    HEADS.replace("[[0.1, 0.2]]", "[]"): "model.heads.maps[0]: 2 x 3 cells of 0 anchors lay out nothing",
    HEADS.replace("0.1", "nan"): "model.heads.maps[0]: nan is no size or step of an anchor",
    HEADS.replace("0.1", "-0.1"): "model.heads.maps[0]: -0.1 is no size or step",
    HEADS.replace("sizes", "step = [0, 1], sizes"): "model.heads.maps[0]: 0.0 is no size or step",
    HEADS + "variances = [0.1, 0, 0.2, 0.2]": "model.heads: variances [0.1, 0.0, 0.2, 0.2] must be above 0",
    HEADS + "variances = [0.1, 0.1]": "model.heads.variances: expected list of length 4",
}
CONTRADICTING = {
    "[camera]\nreconnect_max_s = inf": "camera.reconnect_max_s: inf is no number to work with",
    "[model]\nmean = [nan]": "model.mean[0]: nan is no number to work with",
    '[camera]\nuri = "a\\u0000b"': "camera.uri: has a NUL character in it",
    '[model]\nclasses = ["a\\u0000b"]': "model.classes[0]: has a NUL character in it",
    "[homeassistant]\nenabled = true\nsnapshot_s = 4.9": "homeassistant.snapshot_s: a picture each 5 s is the most",
    "[homeassistant]\nsnapshot_s = 5": "homeassistant.snapshot_s: needs homeassistant.enabled",
    "[camera]\nreconnect_min_s = 9\nreconnect_max_s = 8": "camera.reconnect_min_s: is more than camera.reconnect_max_s",
    "[model]\nmean = [1, 2]": "model.mean: give one number, or three for three channels",
    "[model]\nstd = [1, 2]": "model.std: give one number, or three for three channels",
    "[model]\nstd = [1, 0, 1]": "model.std: 0 would divide by zero",
    "[model]\nbundle = 'a'\npath = 'b'": "model.bundle: stands beside model.path; give one of the two",
    "[mqtt]\ncert_file = 'a'": "mqtt.cert_file and mqtt.key_file: one without the other",
    "[mqtt]\nkey_file = 'a'": "mqtt.cert_file and mqtt.key_file: one without the other",
    "[mqtt]\npassword_file = 'a'": "mqtt.password_file: needs mqtt.username",
    ZONE + ZONE: "zones: two are named 'door'",
}
NO_TOML = {
    "=": "not valid TOML: Invalid statement (at line 1, column 1)",
    "[camera]\nloop = tru": "not valid TOML: Invalid value (at line 2, column 8)",
    "[camera]\n[camera]": "not valid TOML: Cannot declare ('camera',) twice (at line 2, column 8)",
    "a = " + "[" * 5000: "not valid TOML: ",
    f"[camera]\nfps = {'9' * 5000}": "not valid TOML: Exceeds the limit",
}


@pytest.mark.parametrize(
    ("text", "sentence"), (UNKNOWN | WRONG | CONTRADICTING | NO_TOML).items(), ids=lambda text: text[:50]
)
def test_each_fault_is_refused_with_its_key_and_what_is_allowed(text: str, sentence: str) -> None:
    assert refusal(text).startswith(sentence)


def test_what_the_refusals_cover_is_accepted_when_mended() -> None:
    assert parse(ZONE).zones[0].mode == "include"
    assert parse(HEADS).model.heads == Heads(maps=(AnchorMap(2, 3, ((0.1, 0.2),)),))
    assert parse("[camera]\nfourcc = 'Y16 '\nuri = 'é'\n[device]\nsite = 'a-1'").camera.fourcc == "Y16 "


class TestFiles:
    def test_no_file_gives_the_defaults_and_so_does_an_empty_one(self, tmp_path: Path) -> None:
        empty = tmp_path / "empty.toml"
        empty.touch()
        assert load(None) == load(empty) == Config()

    def test_a_byte_order_mark_is_no_fault(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.toml"
        path.write_bytes(b"\xef\xbb\xbf[camera]\r\nloop = true\r\n")
        assert load(path).camera.loop

    def test_refusals_name_the_file_and_the_mend(self, tmp_path: Path) -> None:
        loop, pipe, huge, binary = (tmp_path / name for name in ("loop", "pipe", "huge", "binary"))
        loop.symlink_to(loop)
        os.mkfifo(pipe)
        with huge.open("wb") as file:
            file.truncate(1 << 40)
        binary.write_bytes(b"[camera]\n\xff\xfe")
        refusals = {
            tmp_path / "absent": f"no such file; `edge-agent config init {tmp_path / 'absent'}` writes one",
            tmp_path: "is a folder",
            loop: "cannot be read: Too many levels of symbolic links",
            tmp_path / ("x" * 300): "cannot be read: File name too long",
            binary / "under": "cannot be read: Not a directory",
            pipe: "is a device or a pipe",
            huge: "1099511627776 bytes are no configuration",
            binary: "not UTF-8 text at byte 9",
            Path("/dev/zero"): "is a device or a pipe",
        }
        for path, sentence in refusals.items():
            with pytest.raises(ConfigError, match=re.escape(f"{path}: {sentence}")):
                load(path)


class TestOverride:
    def test_sets_what_is_given_and_leaves_none_alone(self) -> None:
        config = parse('[camera]\nuri = "a.mp4"\nloop = true\n' + HEADS + ZONE)
        changed = override(config, {"camera.uri": "b.mp4", "camera.loop": None, "model.score_threshold": 0.25})
        assert changed == msgspec.structs.replace(
            config,
            camera=msgspec.structs.replace(config.camera, uri="b.mp4"),
            model=msgspec.structs.replace(config.model, score_threshold=0.25),
        )

    def test_is_refused_like_a_file(self) -> None:
        with pytest.raises(ConfigError, match=r"^command line: camera\.stall_s: expected number > 0\.0"):
            override(Config(), {"camera.stall_s": 0})
        with pytest.raises(ConfigError, match=r"^command line: unknown setting 'camera\.url'; did you mean 'uri'\?"):
            override(Config(), {"camera.url": "x"})


class TestTemplate:
    def test_says_every_default_and_changes_none(self) -> None:
        assert parse(template()) == Config()

    def test_is_the_defaults_with_every_line_uncommented(self) -> None:
        text = re.sub(r"^#(?=\w+ = [^ ])", "", template(), flags=re.MULTILINE)
        raw = msgspec.to_builtins(parse(text))
        assert parse(text) == Config()
        said = {f"{table}.{key}" for table, rows in raw.items() if isinstance(rows, dict) for key in rows}
        silent = {key for key in said if f"\n{key.partition('.')[2]} = " not in text}
        unset = {
            "governor.target_celsius",
            "model.label_offset",
            "model.heads",
            "mqtt.keepalive_s",
            "mqtt.resolution_s",
        }
        assert silent == unset, "only what has no default has no value"
        named = set(re.findall(r"^#(\w+) =    # unset: \w+$", template(), flags=re.MULTILINE))
        assert named == {key.partition(".")[2] for key in unset} - {"heads"}, "each is named; heads is a table"

    def test_each_line_can_be_set_alone(self) -> None:
        for line in re.findall(r"^#(\w+ = [^ ].*)$", template(), flags=re.MULTILINE):
            text = template().replace(f"\n#{line}\n", f"\n{line}\n", 1)
            assert text != template(), line
            assert parse(text) == Config(), line


class TestDigest:
    def test_is_short_hexadecimal(self) -> None:
        assert re.fullmatch("[0-9a-f]{12}", digest(Config()))

    def test_differs_with_any_setting(self) -> None:
        texts = ["", "[camera]\nfps = 5", "[model]\nscore_threshold = 0.51", ZONE, HEADS]
        assert len({digest(parse(text)) for text in texts}) == len(texts)

    def test_knows_no_order_and_no_spelling(self) -> None:
        one = parse("[camera]\nfps = 5\nuri = 'a'\n[model]\nclass_thresholds = {cat = 0.5, dog = 0.25}")
        other = parse('[model]\nclass_thresholds = {dog = 0.250, cat = 0.5}\n[camera]\nuri = "a"\nfps = 5.0')
        assert digest(one) == digest(other)

    def test_is_the_same_in_every_process(self) -> None:
        program = f"from agent.config import *; print(digest(parse({ZONE + HEADS!r})))"
        said = {
            subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for seed in ("1", "2")
        }
        assert said == {digest(parse(ZONE + HEADS))}


def test_every_setting_is_explained() -> None:
    for row in settings():
        assert row.description, row.key
        assert row.kind != "value", f"{row.key}: the page has no word for its type"
    keys = [row.key for row in settings()]
    assert len(keys) == len(set(keys))
    assert {"model.heads.maps[].rows", "zones[].polygon", "camera.uri"} <= set(keys)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def values(node: inspect.Type) -> st.SearchStrategy[Any]:
    """Values that a setting of this type takes, made from the settings' own tables."""
    node = unwrap(node)[0]
    if fields_of(node):
        required = {field.encode_name: values(field.type) for field in fields_of(node) if field.required}
        optional = {field.encode_name: values(field.type) for field in fields_of(node) if not field.required}
        return st.fixed_dictionaries(required, optional=optional)
    return VALUES[type(node)](node)


def _numbers(node: Any) -> st.SearchStrategy[float]:
    low = node.gt if node.ge is None else node.ge
    return st.floats(low, node.le, exclude_min=node.gt is not None, allow_nan=False, allow_infinity=False)


def _texts(node: Any) -> st.SearchStrategy[str]:
    if node.pattern:
        return st.from_regex(node.pattern, fullmatch=True).filter(lambda text: "\0" not in text)
    return TEXT.filter(lambda text: len(text) >= (node.min_length or 0))


VALUES: dict[type[inspect.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.BoolType: lambda _: st.booleans(),
    inspect.LiteralType: lambda node: st.sampled_from(node.values),
    inspect.IntType: lambda node: st.integers(
        -1000 if node.ge is None else node.ge, 10**6 if node.le is None else node.le
    ),
    inspect.FloatType: _numbers,
    inspect.StrType: _texts,
    inspect.DictType: lambda node: st.dictionaries(TEXT, values(node.value_type), max_size=3),
    inspect.ListType: lambda node: st.lists(values(node.item_type), min_size=node.min_length or 0, max_size=4),
    inspect.TupleType: lambda node: st.tuples(*map(values, node.item_types)).map(list),
    inspect.VarTupleType: lambda node: st.lists(values(node.item_type), min_size=1, max_size=3),
}


def mended(raw: dict[str, Any]) -> dict[str, Any]:
    """Without the contradictions and sizes that a blind draw would nearly always have."""
    camera, model, mqtt = (raw.setdefault(name, {}) for name in ("camera", "model", "mqtt"))
    camera.pop("reconnect_min_s", None)
    camera.setdefault("reconnect_max_s", 30.0)
    camera["reconnect_max_s"] = max(camera["reconnect_max_s"], 0.5)
    for name in ("mean", "std"):
        model[name] = [value or 1.0 for value in model.get(name, [])[:1]]
    if model.get("bundle"):
        model["path"] = ""
    for name in ("cert_file", "key_file", "password_file"):
        mqtt[name] = "x"
    mqtt["username"] = "x"
    raw.setdefault("parity", {}).pop("every_s", None)
    mqtt["host"] = re.sub(r"[/:\[]", "", mqtt.get("host", ""))
    for number, zone in enumerate(raw.get("zones", [])):
        zone["name"] += str(number)
    counted = [zone["name"] for zone in raw.get("zones", []) if zone.get("mode", "include") in {"include", "count"}]
    raw.setdefault("detections", {})["zones"] = counted[:1]
    raw.setdefault("sample", {})["private_classes"] = ["*"]
    raw["sample"]["private_zones"] = [zone["name"] for zone in raw.get("zones", [])][:1]
    prometheus = raw.setdefault("prometheus", {})
    prometheus["listen"] = ""
    if "\0" in prometheus.get("textfile", ""):
        prometheus["textfile"] = ""
    home = raw.setdefault("homeassistant", {})
    home["snapshot_s"] = max(home["snapshot_s"], 5.0) if home.get("enabled") and home.get("snapshot_s") else 0.0
    heads = model.get("heads") or {}
    for item in heads.get("maps", ()):
        item |= {"rows": 1 + abs(item["rows"]) % 9, "cols": 1 + abs(item["cols"]) % 9}
        item["sizes"] = [[abs(side) or 1.0 for side in size] for size in item["sizes"]]
        if item.get("step"):
            item["step"] = [abs(side) or 1.0 for side in item["step"]]
    if "variances" in heads:
        heads["variances"] = [abs(variance) or 1.0 for variance in heads["variances"]]
    return raw


CONFIGS = values(inspect.type_info(Config)).map(mended).map(convert)


@given(CONFIGS)
@effort(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_written_is_what_is_read(config: Config) -> None:
    assert parse(to_toml(config)) == config
    assert digest(parse(to_toml(config))) == digest(config)


@given(CONFIGS)
@effort(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_override_of_nothing_changes_nothing(config: Config) -> None:
    assert override(config, {"camera.uri": None}) == config


def outcome(attempt: Callable[[], Config]) -> Config | str:
    try:
        return attempt()
    except ConfigError as error:
        return str(error)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
@effort(max_examples=200, deadline=None)
def test_any_text_is_settings_or_one_sentence(text: str) -> None:
    said = outcome(lambda: parse(text))
    assert isinstance(said, Config) or "\n" not in said


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted({row.key for row in settings() if "[]" not in row.key})), JUNK)
@effort(max_examples=300, deadline=None)
def test_any_value_of_any_setting_is_taken_or_refused_by_name(key: str, value: object) -> None:
    *tables, name = key.split(".")
    raw: dict[str, Any] = {name: value}
    for table in reversed(tables):
        raw = {table: raw}
    said = outcome(lambda: convert(raw))
    assert isinstance(said, Config) or (tables[0] in said and "\n" not in said)


def test_each_kind_of_camera_address_is_named_where_it_is_set() -> None:
    row = next(row for row in settings() if row.key == "camera.uri")
    for word in ("/dev/video0", "usb:", "picamera:", "rtsp://", "http://", "demo:"):
        assert word in row.description


def test_relative_paths_are_those_of_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        '[device]\nstate_dir = "state"\n[model]\npath = "m/ssd.tflite"\ntrusted_keys = ["a.pub", "/b.pub"]\n'
        '[camera]\nuri = "clip.mp4"\n[runtime]\ndelegate = "libx.so"\n[parity]\ndelegate = "lib/x.so"\n'
        '[mqtt]\nusername = "u"\npassword_file = "secret"\nca_file = "ca.pem"\n'
    )
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "secret").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for found in (load(path), load(Path("../agent.toml"))):
        assert Path(found.device.state_dir).resolve() == tmp_path / "state"
        assert Path(found.model.path).resolve() == tmp_path / "m" / "ssd.tflite"
        assert [Path(key).resolve() for key in found.model.trusted_keys] == [tmp_path / "a.pub", Path("/b.pub")]
        assert Path(found.camera.uri).resolve() == tmp_path / "clip.mp4"
        assert found.runtime.delegate == "libx.so", "the loader looks for it"
        assert Path(found.parity.delegate).resolve() == tmp_path / "lib" / "x.so"
        assert found.mqtt.password_file == "secret", "the credential of that name"
        assert Path(found.mqtt.ca_file).is_absolute()
    assert override(Config(), {"model.path": "x.tflite"}).model.path == "x.tflite", "the shell's, on the command line"
    moved = anchored(override(Config(), {"model.path": "x.tflite", "model.iou_threshold": 0.5}), tmp_path)
    assert (moved.model.path, moved.given) == (f"{tmp_path}/x.tflite", {"model.path", "model.iou_threshold"})


@pytest.mark.parametrize("uri", ["demo:?seed=3", "usb:0", "rtsp://h/x", "/dev/video0", "0", "", "~/a.mp4"])
def test_addresses_are_no_places(uri: str, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(f'[camera]\nuri = "{uri}"\n[model]\nbundle = "demo:"\n')
    found = load(tmp_path / "agent.toml")
    assert (found.camera.uri, found.model.bundle) == (uri, "demo:")


def test_a_path_of_the_wrong_type_is_refused_as_ever(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("model = 3\n[camera]\nuri = 4\n[mqtt]\nca_file = [5]\n")
    with pytest.raises(ConfigError, match="expected"):
        load(tmp_path / "agent.toml")


@pytest.mark.parametrize("host", ["127.0.0.1:21883", "broker.lan:1883", "[::1]:1883", "[::1]"])
def test_a_port_in_the_host_is_sent_to_its_own_setting(host: str) -> None:
    assert refusal(f'[mqtt]\nhost = "{host}"') == (
        f"mqtt.host: '{host}' is no name or address; give the port in mqtt.port, and no brackets"
    )
    for good in ("::1", "fe80::1%eth0", "broker.lan"):
        assert parse(f'[mqtt]\nhost = "{good}"').mqtt.host == good


def test_no_refusal_shows_a_regular_expression() -> None:
    def patterns(node: inspect.Type, prefix: str) -> list[str]:
        found = []
        for field in fields_of(unwrap(node)[0]):
            inner = unwrap(field.type)[0]
            if isinstance(inner, inspect.StrType) and inner.pattern:
                found.append(f"{prefix}{field.encode_name}")
            found += patterns(field.type, f"{prefix}{field.encode_name}.")
        return found

    keys = patterns(inspect.type_info(Config), "")
    assert "device.id" in keys
    for key in keys:
        table, _, name = key.rpartition(".")
        assert "regex" not in refusal(f'[{table}]\n{name} = "/ /\\n"')
