"""Which runtime is taken, and what a delegate is refused for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ConfigError, UnavailableError
from agent.infer import choose_backend
from agent.infer.backend import EDGETPU_LIBRARY, MENDS, MODULES, PACKAGES, load_delegate
from tests.delegates import Delegates
from tests.models import installed

ROOT = Path(__file__).parent.parent
ABSENT = [name for name, module in MODULES.items() if not importlib.util.find_spec(module.partition(".")[0])]
MODERN = int(np.__version__.partition(".")[0]) >= 2


def python(program: str, *path: Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with folders in front of its packages."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))},
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=60,
    )


CHOOSE = """
from agent.errors import AgentError
from agent.infer import choose_backend
try:
    print(choose_backend({!r}).version)
except AgentError as error:
    print(type(error).__name__, error.exit_code, error)
"""


def package(folder: Path, name: str, interpreter: str = "", version: str = "") -> Path:
    """A package that looks like a runtime from outside."""
    module = folder / MODULES[name].partition(".")[0]
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "interpreter.py").write_text(interpreter)
    if version:
        info = folder / f"{module.name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGES[name]}\nVersion: {version}\n")
    return folder


class TestChoice:
    def test_by_name(self, backend: str) -> None:
        chosen = choose_backend(backend)
        assert (chosen.name, chosen.version) == (backend, importlib.metadata.version(PACKAGES[backend]))
        assert chosen.module.__name__ == MODULES[backend]

    def test_auto_takes_litert_where_it_is_installed_and_else_the_other(self) -> None:
        if not installed():
            pytest.skip("no runtime")
        assert choose_backend().name == ("litert" if "litert" in installed() else "tflite-runtime")

    @pytest.mark.skipif(not ABSENT, reason="both runtimes are installed")
    def test_one_that_is_not_installed_says_how_to_install_it(self) -> None:
        for name in ABSENT:
            with pytest.raises(UnavailableError) as refused:
                choose_backend(name)
            assert str(refused.value) == (f"no runtime: {PACKAGES[name]} is not installed; `pip install {MENDS[name]}`")
            assert refused.value.exit_code == 75

    def test_one_of_a_name_in_front_of_the_other_stays_unloaded(self, backend: str) -> None:
        program = f"import sys\nfrom agent.infer import choose_backend\nchoose_backend({backend!r})\n"
        others = [module for name, module in MODULES.items() if name != backend]
        ended = python(program + f"print([name for name in {others} if name in sys.modules])")
        assert ended.stdout.strip() == "[]"

    @pytest.mark.skipif(not MODERN, reason="numpy 1 is installed: tflite-runtime works beside it")
    def test_tflite_runtime_beside_numpy_2_is_refused_before_it_dies(self, tmp_path: Path) -> None:
        folder = package(tmp_path, "tflite-runtime", "raise SystemExit('was imported')", "2.14.0")
        said = python(CHOOSE.format("tflite-runtime"), folder).stdout.strip()
        assert said == (
            f"UnavailableError 75 tflite-runtime 2.14.0 cannot work with numpy {np.__version__}; "
            "`pip install 'numpy<2'`"
        )

    @pytest.mark.skipif(MODERN, reason="numpy 2 is installed: tflite-runtime is refused for that")
    def test_tflite_runtime_beside_numpy_1_is_taken(self, tmp_path: Path) -> None:
        folder = package(tmp_path, "tflite-runtime", "", "2.14.0")
        assert python(CHOOSE.format("tflite-runtime"), folder).stdout.strip() == "2.14.0"

    def test_one_that_does_not_load_is_refused(self, tmp_path: Path) -> None:
        folder = package(tmp_path, "litert", "raise ImportError('libfoo.so.1: no such file')", "2.9.9")
        assert python(CHOOSE.format("litert"), folder).stdout.strip() == (
            "UnavailableError 75 ai-edge-litert 2.9.9 does not load: libfoo.so.1: no such file; install it again"
        )

    @pytest.mark.skipif("litert" not in ABSENT, reason="its own metadata are installed")
    def test_one_under_another_name_has_no_version(self, tmp_path: Path) -> None:
        """A nightly build: the module is there, the distribution is called otherwise."""
        assert python(CHOOSE.format("litert"), package(tmp_path, "litert")).stdout.strip() == "unknown"

    @pytest.mark.skipif(not MODERN or "tflite-runtime" not in ABSENT, reason="its own metadata are installed")
    def test_one_under_another_name_is_still_checked(self, tmp_path: Path) -> None:
        said = python(CHOOSE.format("tflite-runtime"), package(tmp_path, "tflite-runtime")).stdout
        assert said.startswith("UnavailableError 75 tflite-runtime unknown cannot work with numpy")


def refusal(backend: str, name: str, options: dict[str, str] | None = None) -> str:
    with pytest.raises(UnavailableError) as refused:
        load_delegate(choose_backend(backend), name, options or {})
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"delegate {name!r}: ")
    return message.removeprefix(f"delegate {name!r}: ")


class TestDelegates:
    def test_an_unknown_name_is_a_wrong_setting(self, backend: str) -> None:
        with pytest.raises(ConfigError, match=r"^runtime\.delegate: 'gpu' is unknown; say edgetpu, or give the path"):
            load_delegate(choose_backend(backend), "gpu", {})

    def test_edgetpu_without_its_library_says_what_to_install(self, backend: str) -> None:
        if subprocess.run(["ldconfig", "-p"], capture_output=True, check=False).stdout.find(b"libedgetpu") >= 0:
            pytest.skip("libedgetpu is installed")
        assert refusal(backend, "edgetpu") == (
            f"{EDGETPU_LIBRARY} is not there; install a libedgetpu build that fits this runtime: docs/coral.md"
        )

    def test_a_path_that_is_not_there(self, backend: str, tmp_path: Path) -> None:
        for path in (tmp_path / "lib.so", Path("absent.so"), Path("absent.so.1")):
            assert (
                refusal(backend, str(path))
                == f"{path}: no such file; install the delegate, or correct runtime.delegate"
            )

    def test_a_file_that_is_no_library(self, backend: str, tmp_path: Path) -> None:
        text, folder = tmp_path / "text.so", tmp_path / "folder.so"
        text.write_text("not a library")
        folder.mkdir()
        for path in (text, folder):
            assert refusal(backend, str(path)).startswith(f"{path} does not load: {path}: ")

    def test_a_library_that_is_no_delegate(self, backend: str, delegates: Delegates) -> None:
        said = refusal(backend, str(delegates.other))
        assert said == f"{delegates.other} is no external delegate (it has no tflite_plugin_create_delegate)"

    def test_half_a_delegate_is_none(self, backend: str, delegates: Delegates) -> None:
        said = refusal(backend, str(delegates.half))
        assert said == f"{delegates.half} is no external delegate (it has no tflite_plugin_destroy_delegate)"

    def test_one_that_finds_no_device(self, backend: str, delegates: Delegates) -> None:
        said = refusal(backend, str(delegates.whole), {"do": "refuse"})
        assert said.endswith("no device of mine is plugged in; check its options")
        said = refusal(backend, str(delegates.whole), {"do": "refuse-silently"})
        assert said == f"Failed to load delegate from {delegates.whole}; check its options"

    def test_one_that_works_is_made_once_and_freed(self, backend: str, delegates: Delegates, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        made = load_delegate(choose_backend(backend), str(delegates.whole), {"do": "work", "mark": str(mark)})
        assert mark.read_text().split() == ["create"]
        del made
        assert mark.read_text().split() == ["create", "destroy"]

    @pytest.mark.parametrize("name", ["edgetpu", "absent.so", "other", "half", "refuse"])
    def test_a_refusal_writes_nothing_to_stderr(self, backend: str, delegates: Delegates, name: str) -> None:
        """The runtime's own Delegate prints a traceback from its destructor when it was not made to the end."""
        path = {"other": str(delegates.other), "half": str(delegates.half), "refuse": str(delegates.whole)}.get(
            name, name
        )
        ended = python(
            "import gc\n"
            "from agent.errors import UnavailableError\n"
            "from agent.infer import choose_backend\n"
            "from agent.infer.backend import load_delegate\n"
            "try:\n"
            f"    load_delegate(choose_backend({backend!r}), {path!r}, {{'do': 'refuse'}})\n"
            "except UnavailableError as error:\n"
            "    print(error)\n"
            "gc.collect()\n"
        )
        assert ended.stdout.startswith("delegate ")
        assert ended.stderr == ""
        assert ended.returncode == 0
