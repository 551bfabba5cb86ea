"""Which runtime is here, and delegates through its real API.

LiteRT (``ai-edge-litert``) and ``tflite-runtime`` offer the same ``Interpreter``; neither is imported before it is
needed, and a runtime that cannot work here is refused with the mend before it fails deep inside.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.errors import ConfigError, UnavailableError

MODULES = {"litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}
MENDS = {"litert": "ai-edge-litert", "tflite-runtime": "'edge-agent[tflite-runtime]'"}
"""What to install: tflite-runtime on its own would come beside a numpy that it dies with."""

EDGETPU_LIBRARY = "libedgetpu.so.1"
DELEGATE_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


@dataclass(frozen=True, slots=True)
class Backend:
    """One runtime: its name, its version, and its ``interpreter`` module."""

    name: str
    version: str
    module: Any


def choose_backend(setting: str = "auto") -> Backend:
    """The runtime that ``runtime.backend`` asks for; ``auto`` takes LiteRT where it is installed.

    Raises:
        UnavailableError: it is not installed, or cannot work beside the installed numpy.
    """
    wanted = list(MODULES) if setting == "auto" else [setting]
    for name in wanted:
        if importlib.util.find_spec(MODULES[name].partition(".")[0]) is not None:
            return _load(name)
    missing = " or ".join(PACKAGES[name] for name in wanted)
    raise UnavailableError(f"no runtime: {missing} is not installed; `pip install {MENDS[wanted[0]]}`")


def _load(name: str) -> Backend:
    package = PACKAGES[name]
    version = _version(package)
    if name == "tflite-runtime" and int(np.__version__.partition(".")[0]) >= 2:
        # It imports, and then Interpreter() raises SystemError: its extension was built against numpy 1.
        raise UnavailableError(f"{package} {version} cannot work with numpy {np.__version__}; `pip install 'numpy<2'`")
    try:
        module = importlib.import_module(MODULES[name])
    except ImportError as error:
        raise UnavailableError(f"{package} {version} does not load: {error}; install it again") from None
    return Backend(name, version, module)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # a nightly build, or a distribution's own package, under another name


def load_delegate(backend: Backend, name: str, options: dict[str, str]) -> object:
    """A delegate by name (``edgetpu``) or by the path of its shared library.

    The library is opened before the runtime's own class sees it, because that class prints a traceback from its
    destructor when its constructor fails.

    Raises:
        ConfigError: neither a known name nor a path.
        UnavailableError: the library is not there, does not open, is no external delegate, or finds no device.
    """
    library = _library(name)
    try:
        opened = ctypes.CDLL(library)
    except OSError as error:
        raise UnavailableError(f"delegate {name!r}: {_why_not(library, error)}") from None
    for symbol in DELEGATE_SYMBOLS:
        if not hasattr(opened, symbol):
            raise UnavailableError(f"delegate {name!r}: {library} is no external delegate (it has no {symbol})")
    try:
        return backend.module.load_delegate(library, options)
    except (ValueError, RuntimeError) as error:
        mend = "is the device plugged in, and may this user open it?" if name == "edgetpu" else "check its options"
        raise UnavailableError(f"delegate {name!r}: {one_line(error)}; {mend}") from None


def _library(name: str) -> str:
    if name == "edgetpu":
        return EDGETPU_LIBRARY
    if "/" in name or name.endswith(".so") or ".so." in name:
        return name
    raise ConfigError(f"runtime.delegate: {name!r} is unknown; say edgetpu, or give the path of a delegate's .so file")


def _why_not(library: str, error: OSError) -> str:
    if library == EDGETPU_LIBRARY:
        return f"{library} is not there; install a libedgetpu build that fits this runtime: docs/coral.md"
    if not Path(library).exists():
        return f"{library}: no such file; install the delegate, or correct runtime.delegate"
    return f"{library} does not load: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """A library's message on one line."""
    return re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
