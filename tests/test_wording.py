"""What is wrong with JSON from outside is said in plain words, and never in a library's."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench import Plan, encode
from agent.bench.result import decode
from agent.bundle.manifest import decode as decode_manifest
from agent.cli import app
from agent.desired import Overlay as Desired
from agent.errors import ModelError, StorageError
from agent.local.wire import Request, read_request
from agent.recalibrate import overlay
from agent.records import Correction
from agent.wording import no_json
from tests.bench_fakes import make_run
from tests.cases import edge_agent
from tests.test_desired import BASE
from tools.evaluate import load_annotations

LIBRARY = ("`", "Value error", "Expected", "Object ", "JSON is malformed", "regex", "truncated", "codec", "$.", "byte ")
"""Pieces of sentences that libraries make."""

RUBBISH = [b"", b"{", b"nonsense", b"\xff\xfe", b"[]", b"null", b"7", b"[" * 100_000, b'{"op": ', b'{"a": 1}']


def plain(sentence: str) -> str:
    assert not [word for word in LIBRARY if word in sentence], sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not a request: it is no JSON"),
        (b"[1]", "not a request: it is no JSON object"),
        (b'{"op": "x", "a": ' + b"[" * 5000, "not a request: unknown field 'a'; known: op, id, exp, args"),
        (b"{}", "not a request: 'op' is missing"),
        (b'{"op": "Loud!"}', "not a request: op: must be a-z, 0-9 and - only, 1 to 64"),
        (b'{"op": 3}', "not a request: op: expected text, got integer"),
        (b'{"op": "diag", "exp": "soon"}', "not a request: exp: expected number, got text"),
        (b'{"op": "diag", "arg": {}}', "not a request: unknown field 'arg'; did you mean 'args'?"),
    ],
)
def test_a_request_on_the_board_is_refused_in_plain_words(line: bytes, said: str) -> None:
    assert read_request(line) == said


@pytest.mark.parametrize("line", RUBBISH)
def test_rubbish_is_refused_in_plain_words_wherever_it_is_read(line: bytes, tmp_path: Path) -> None:
    assert plain(str(read_request(line))).startswith("not a request: ")
    with pytest.raises(StorageError) as result:
        decode(line, "r.json")
    plain(str(result.value))
    with pytest.raises(ModelError) as manifest:
        decode_manifest(line)
    plain(str(manifest.value))
    with pytest.raises(ValueError, match="correction") as correction:
        Correction.from_json(line[:200])
    plain(str(correction.value))
    (tmp_path / "a.json").write_bytes(line)
    with pytest.raises(StorageError, match="no COCO file") as coco:
        load_annotations(tmp_path / "a.json")
    plain(str(coco.value))


def test_a_damaged_record_of_what_the_board_learned_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = overlay._path(tmp_path, "ab" * 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    for line in RUBBISH:
        path.write_bytes(line)
        with pytest.raises(ModelError, match="is damaged") as error:
            overlay.read(tmp_path, "ab" * 32)
        plain(str(error.value).replace("`edge-agent recalibrate --undo`", ""))


def test_a_damaged_wish_of_before_is_reported_in_plain_words(tmp_path: Path) -> None:
    for line in (b"{", b"\xff", b"[1]", b'{"rev": "x"}'):
        (tmp_path / "desired.json").write_bytes(line)
        said: list[Any] = []
        Desired(BASE, tmp_path).start(lambda _config, _changes: None, said.append)
        assert said[0].error_code == "not-restored"
        plain(said[0].error_message)


def test_a_field_within_a_field_is_named_by_its_way() -> None:
    whole = json.loads(encode(make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()))
    whole["score"]["p50_s"] = "fast"
    del whole["environment"]["board"]["model"]
    with pytest.raises(StorageError, match=r"environment\.board: 'model' is missing"):
        decode(json.dumps(whole).encode(), "r.json")
    whole["environment"]["board"]["model"] = "a board"
    with pytest.raises(StorageError, match=r"score\.p50_s: expected number, got text"):
        decode(json.dumps(whole).encode(), "r.json")
    whole["plan"]["speed"] = 1
    with pytest.raises(StorageError, match="plan: unknown field 'speed'"):
        decode(json.dumps(whole).encode(), "r.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["op", "id", "exp", "args", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_no_value_brings_a_librarys_sentence_out(value: object) -> None:
    try:
        msgspec.convert(value, Request)
    except msgspec.ValidationError as error:
        said = no_json(error, Request)
        assert "matching regex" not in said
        assert "`" not in said.replace("`" if "`" in repr(value) else "\0", "")


def test_an_unknown_scenario_is_refused_by_what_there_is() -> None:
    done = edge_agent("bench", "--scenario", "server", TERM="dumb", COLUMNS="200")
    assert done.returncode == 2
    assert "'--scenario': 'server' is not one of 'single-stream', 'multi-stream', 'offline'" in done.stderr
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"scenario": "server"}, Plan)
    said = no_json(error.value, Plan)
    assert said == "scenario: 'server' is none of camera, multi-stream, offline, single-stream"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bench", "--seconds", "soon"), "'--seconds': 'soon' is no number"),
        (("bench", "--queries", "2.5"), "'--queries': is no whole number"),
        (("bench", "--frames", "0"), "'--frames': must be at least 1"),
        (("bench", "--warmup", "nan"), "'--warmup': 'nan' is no number"),
        (("bench", "--minutes", "9999"), "'--minutes': must be at most 1440"),
        (("run", "--pace", "slow"), "'--pace': 'slow' is not one of 'real', 'fast'"),
    ],
)
def test_a_wrong_value_of_an_option_is_refused_in_plain_words(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")
    shown = io.StringIO()
    with pytest.raises(SystemExit) as left, redirect_stderr(shown):
        app(list(words))
    assert left.value.code == 2
    text = " ".join(shown.getvalue().split())
    assert said in text
    assert not [word for word in ("Value error", "Input should", "parse string") if word in text]
