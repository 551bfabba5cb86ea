"""Class names and their offset: found out where it can be, refused with the mend where it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.model import read_labels
from agent.records import Labels

NAMES = [f"thing {chr(97 + number % 26)}{number // 26}" for number in range(90)]


@pytest.fixture
def labels(tmp_path: Path):
    """Write lines to a file and read them as labels."""

    def read(lines: list[str] | bytes, num_classes: int | None = None, offset: int | None = None) -> Labels:
        path = tmp_path / "labels.txt"
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode() + b"\n")
        return read_labels(path, num_classes=num_classes, offset=offset)

    return read


def refused(read, *arguments: object) -> str:
    with pytest.raises(ModelError) as error:
        read(*arguments)
    assert error.value.exit_code == 65
    assert "\n" not in str(error.value)
    return str(error.value).partition("labels.txt: ")[2]


class TestLines:
    def test_as_many_as_classes_begin_with_class_0(self, labels) -> None:
        assert labels(NAMES, 90).names == dict(enumerate(NAMES))
        assert labels(["???", *NAMES[1:]], 90).name(1) == NAMES[1]

    @pytest.mark.parametrize("head", ["???", "background", "BACKGROUND", "__background__", "none", "n/a", ""])
    def test_one_more_with_a_head_that_is_no_object_begin_one_line_later(self, labels, head: str) -> None:
        found = labels([head, *NAMES], 90)
        assert found.names == dict(enumerate(NAMES))
        assert found.name(90) == "class 90"

    def test_a_model_that_counts_its_background_has_the_head_as_class_0(self, labels) -> None:
        assert labels(["background", *NAMES], 91).names == {number + 1: name for number, name in enumerate(NAMES)}

    def test_one_more_without_such_a_head_is_refused_with_the_mend(self, labels) -> None:
        sentence = "names, but the model has 90 classes; give the right file, or set model.label_offset"
        assert refused(labels, ["person", *NAMES], 90).startswith(f"has 91 {sentence}")
        assert refused(labels, NAMES[:-1], 90).startswith(f"has 89 {sentence}")
        assert refused(labels, ["???", "background", *NAMES], 90).startswith(f"has 92 {sentence}")
        assert refused(labels, ["???", *NAMES[:-1]], 91).startswith("has 90 names, but the model has 91")

    def test_the_setting_decides(self, labels) -> None:
        assert labels(["person", *NAMES], 90, 1).names == dict(enumerate(NAMES))
        assert labels(NAMES, 90, 0).names == dict(enumerate(NAMES))
        assert labels(NAMES, None, -1).name(1) == NAMES[0]
        assert labels(["???", *NAMES], None, 0).name(1) == NAMES[0]

    def test_a_model_without_a_number_of_classes(self, labels) -> None:
        assert labels(NAMES).names == dict(enumerate(NAMES))
        said = refused(labels, ["???", *NAMES])
        assert said.startswith("begins with '???', and the model does not say how many classes it has; set ")
        assert f"model.label_offset to 1 if class 0 is ['{NAMES[0]}'], to 0 if it is the background" in said

    def test_an_offset_beyond_the_file_is_refused(self, labels) -> None:
        assert refused(labels, NAMES, 90, 90) == (
            "model.label_offset = 90 leaves no name; class number + offset = line"
        )
        assert refused(labels, ["1 a"], 90, 2).startswith("model.label_offset = 2 leaves no name")

    def test_what_stands_for_no_object_is_no_name(self, labels) -> None:
        found = labels(["cat", "???", "n/a", "dog"], 4)
        assert found.names == {0: "cat", 3: "dog"}
        assert (found.name(1), found.ids("???")) == ("class 1", [])


class TestNumbered:
    @pytest.mark.parametrize("form", ["{} {}", "{}  {}", "{}: {}", "{}:{}", "{}, {}", "{}\t{}", "  {} {}  "])
    def test_in_every_usual_form(self, labels, form: str) -> None:
        lines = [form.format(number, name) for number, name in enumerate(NAMES)]
        assert labels(lines, 90).names == labels(lines).names == dict(enumerate(NAMES))

    def test_in_any_order_with_gaps_and_blank_lines(self, labels) -> None:
        assert labels(["", "17 dog", "", "16 cat"], 90).names == {16: "cat", 17: "dog"}

    def test_with_a_background_as_number_0(self, labels) -> None:
        lines = ["0 background", *(f"{number} {name}" for number, name in enumerate(NAMES, 1))]
        assert labels(lines, 90).names == dict(enumerate(NAMES))
        assert labels(lines, 91).names == dict(enumerate(NAMES, 1))

    def test_from_1_to_the_number_of_classes(self, labels) -> None:
        lines = [f"{number} {name}" for number, name in enumerate(NAMES, 1)]
        assert labels(lines, 90).names == dict(enumerate(NAMES))
        assert labels(lines, 91).names == dict(enumerate(NAMES, 1))

    def test_from_1_for_a_model_without_a_number_of_classes_is_ambiguous(self, labels) -> None:
        for lines in (["1 cat", "2 dog"], ["0 ???", "1 cat"]):
            assert refused(labels, lines).endswith(
                "set model.label_offset to 1 if that is the model's class 0, to 0 if it is its class 1"
            )
            assert labels(lines, None, 1).name(0) == "cat"
            assert labels(lines, None, 0).name(1) == "cat"

    def test_beyond_the_model_is_refused_with_the_mend(self, labels) -> None:
        assert refused(labels, ["0 cat", "90 dog"], 90) == (
            "names number 90, but the model has 90 classes; give the right file, or set model.label_offset "
            "(class number + offset = number)"
        )
        assert refused(labels, ["1 cat", "91 dog"], 90).startswith("names number 91, but the model has 90 classes")

    def test_twice_the_same_number_is_refused(self, labels) -> None:
        assert refused(labels, ["0 cat", "0 dog"]) == "two names for number 0, 'cat' and 'dog'; remove one"

    def test_a_number_beyond_all_memory_is_refused(self, labels) -> None:
        assert refused(labels, ["0 cat", "999999999 dog"]).startswith("class number 999999999 is beyond any model's")
        assert labels(["0 cat", f"{'9' * 5000} dog"]).name(0) == "0 cat", "no number then, but a name"

    def test_one_line_without_a_number_makes_all_of_them_names(self, labels) -> None:
        assert labels(["7 up", "cola"], 2).names == {0: "7 up", 1: "cola"}


class TestFiles:
    def test_marks_carriage_returns_and_a_blank_tail_do_not_count(self, labels) -> None:
        assert labels(b"\xef\xbb\xbfcat\r\ndog \r\n\r\n  \r\n\n", 2).names == {0: "cat", 1: "dog"}
        assert labels(b"cat\ndog", 2).names == {0: "cat", 1: "dog"}
        assert labels(b"cat\rdog", 2).names == {0: "cat", 1: "dog"}

    def test_no_file_gives_what_is_packed_into_the_model(self) -> None:
        assert read_labels(None, ("???", "cat", "dog", ""), num_classes=2).names == {0: "cat", 1: "dog"}
        assert read_labels(None, ("0 cat", "1 dog"), num_classes=2).names == {0: "cat", 1: "dog"}
        assert read_labels(None).names == read_labels(None, ("", " ")).names == {}
        with pytest.raises(ModelError, match=r"^the labels packed into the model: has 3 names, but the model has 5"):
            read_labels(None, ("a", "b", "c"), num_classes=5)

    def test_a_file_stands_before_what_is_packed(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_text("chat\n")
        assert read_labels(path, ("cat",), num_classes=1).names == {0: "chat"}

    def test_a_label_map_of_another_format_is_refused(self, labels) -> None:
        assert refused(labels, b"item {\n  id: 1\n  name: 'cat'\n}\n") == (
            "is a .pbtxt label map; write it as one name a line"
        )

    def test_what_is_no_label_file_is_refused_with_the_mend(self, tmp_path: Path) -> None:
        loop, pipe, huge, binary, empty = (tmp_path / name for name in ("loop", "pipe", "huge", "binary", "empty"))
        loop.symlink_to(loop)
        os.mkfifo(pipe)
        with huge.open("wb") as file:
            file.truncate(1 << 40)
        binary.write_bytes(b"cat\n\xff\xfe")
        empty.write_text("\n \n")
        refusals = {
            tmp_path / "absent": "no such file; give the model's label file",
            tmp_path: "is a folder; give the label file in it",
            loop: "cannot be read: Too many levels of symbolic links",
            tmp_path / ("x" * 300): "cannot be read: File name too long",
            pipe: "is a device or a pipe; give a label file",
            Path("/dev/zero"): "is a device or a pipe; give a label file",
            huge: "1099511627776 bytes are no label file; one name a line is needed",
            binary: "is no text (byte 4); one name a line is needed",
            empty: "is empty; one name a line is needed",
        }
        for path, sentence in refusals.items():
            with pytest.raises(ModelError) as error:
                read_labels(path)
            assert str(error.value) == f"{path}: {sentence}"


class TestRealFiles:
    def test_the_two_coco_files_agree_wherever_they_name_an_object(self, assets: Path) -> None:
        coral = read_labels(assets / "labels/coco_labels.txt", num_classes=90)
        packed = read_labels(assets / "labels/labelmap_embedded.txt", num_classes=90)
        assert coral.names == packed.names
        assert (coral.name(0), coral.name(16), coral.name(31), coral.name(89)) == ("person", "cat", "tie", "toothbrush")
        assert (len(coral.names), coral.name(11)) == (80, "class 11")


@given(
    st.lists(st.text(st.characters(categories=["L"]), min_size=2, max_size=6), min_size=1, max_size=20, unique=True),
    st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_lines_and_numbers_say_the_same(labels, names: list[str], headed: bool) -> None:
    names = [name for name in names if name.lower() != "none"] or ["cat"]
    lines = ["???", *names] if headed else names
    numbered = [f"{number} {name}" for number, name in enumerate(lines)]
    assert labels(lines, len(names)).names == labels(numbered, len(names)).names == dict(enumerate(names))


@given(st.binary(max_size=80), st.none() | st.integers(1, 9), st.none() | st.integers(-1000, 1000))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_bytes_are_labels_or_one_sentence(labels, data: bytes, classes: int | None, offset: int | None) -> None:
    said: Labels | str
    try:
        said = labels(data, classes, offset)
    except ModelError as error:
        said = str(error)
    assert "\n" not in said if isinstance(said, str) else said.names and min(said.names) >= 0
