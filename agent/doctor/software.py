"""Packages, Python and the processor's word length."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.measure import host

NO_RUNTIME = Trap(
    "runtime-missing",
    "problem",
    "Without LiteRT or tflite-runtime no model can run.",
    "pip install ai-edge-litert",
)
NO_WHEEL = Trap(
    "runtime-no-wheel",
    "problem",
    "tflite-runtime ends with Python 3.11; LiteRT is for 3.10 to 3.14 and has no 32-bit ARM wheel: pip finds nothing.",
    'Use a 64-bit system with Python 3.11 to 3.13, runtime.backend = "auto" and `pip install ai-edge-litert`.',
)
NUMPY_2 = Trap(
    "numpy-2-tflite-runtime",
    "problem",
    "tflite-runtime was built against numpy 1: with numpy 2 it installs and imports, then dies inside Interpreter().",
    "pip install 'numpy<2' 'opencv-python-headless<4.12', or take LiteRT: pip install ai-edge-litert",
)
OPENCV = Trap(
    "opencv-numpy",
    "problem",
    "opencv 4.12 and later asks for numpy 2: beside numpy 1 pip replaces one of the two at its next install.",
    "pip install 'opencv-python-headless<4.12'",
)
TWO_OPENCV = Trap(
    "opencv-twice",
    "warning",
    "opencv-python and opencv-python-headless write the same files; what is imported is the one installed last.",
    "pip uninstall opencv-python opencv-python-headless && pip install opencv-python-headless",
)
PICAMERA = Trap(
    "picamera2-hidden",
    "problem",
    "picamera2 belongs to the system's Python and cannot be installed by pip; a closed environment does not see it.",
    "sudo apt install python3-picamera2, then make the environment anew: python3 -m venv --system-site-packages",
)
SYSTEM_32 = Trap(
    "userland-32-bit",
    "warning",
    "32-bit Raspberry Pi OS may run on a 64-bit kernel, and `uname -m` hides it: there is no LiteRT wheel for it, and "
    "quantized models are slower.",
    "Write the 64-bit Raspberry Pi OS to the card.",
)


WANTED = {
    "auto": ("ai-edge-litert", "tflite-runtime"),
    "litert": ("ai-edge-litert",),
    "tflite-runtime": ("tflite-runtime",),
}
"""Packages that would do, by ``runtime.backend``; the first that is installed is taken."""


def runtime(scene: Scene) -> Iterator[Finding]:
    """Something that runs models, and numpy beside it."""
    wanted = WANTED[scene.config.runtime.backend]
    numpy = scene.packages.get("numpy", "0")
    found = [f"{name} {scene.packages[name]}" for name in wanted if name in scene.packages]
    if not found:
        trap = NO_RUNTIME if any(_has_wheel(name, scene) for name in wanted) else NO_WHEEL
        where = f"Python {_version(scene)} on {scene.machine}, {scene.pointer_bits} bit"
        yield trap.found(f"no {' or '.join(wanted)} for {where}")
    elif found[0].startswith("tflite-runtime") and not numpy.startswith(("0", "1.")):
        yield NUMPY_2.found(f"{found[0]} beside numpy {numpy}")
    else:
        yield fine("runtime", f"{found[0]}, numpy {numpy}, Python {_version(scene)}")


def _has_wheel(name: str, scene: Scene) -> bool:
    if name == "tflite-runtime":
        return (3, 9) <= scene.python <= (3, 11)
    return scene.pointer_bits == 64 and (3, 10) <= scene.python <= (3, 14)


def _version(scene: Scene) -> str:
    return ".".join(map(str, scene.python))


def opencv(scene: Scene) -> Iterator[Finding]:
    """OpenCV, once, and of numpy's age."""
    numpy = scene.packages.get("numpy", "")
    versions = {name: scene.packages[name] for name in scene.packages if name.startswith("opencv-python")}
    if len(versions) > 1:
        yield TWO_OPENCV.found(", ".join(f"{name} {version}" for name, version in versions.items()))
    for name, version in versions.items():
        if numpy.startswith("1.") and _numbers(version) >= (4, 12):
            yield OPENCV.found(f"{name} {version} beside numpy {numpy}")
            return
    if len(versions) <= 1:
        yield fine("opencv", next((f"{name} {version}" for name, version in versions.items()), "the system's own"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".")[:2] if word.isdigit())


def picamera(scene: Scene) -> Iterator[Finding]:
    """picamera2, where the camera setting needs it."""
    if not scene.config.camera.uri.startswith("picamera"):
        return
    if scene.has_picamera2:
        yield fine("picamera2", "can be imported here")
        return
    there = (scene.root / "usr/lib/python3/dist-packages/picamera2").is_dir()
    where = "is installed for the system's Python" if there else "is not installed"
    closed = "" if scene.sees_system else ", and this environment is closed (no --system-site-packages)"
    yield PICAMERA.found(f"camera.uri needs picamera2; it {where}{closed}")


def bits(scene: Scene) -> Iterator[Finding]:
    """Whether the system is as wide as the kernel."""
    wide = scene.machine in {"aarch64", "arm64", "x86_64"}
    if scene.pointer_bits == 32:
        kernel = "a 64-bit kernel" if wide else "a 32-bit kernel"
        yield SYSTEM_32.found(f"this Python is 32 bit, on {kernel} ({scene.machine})")
    else:
        yield fine("bits", f"64 bit, {scene.machine}")


RAISED = ("isolcpus", "maxcpus")


def cores(scene: Scene) -> Iterator[Finding]:
    """Cores that the kernel's command line keeps away."""
    taken = [word for word in host.kernel_words(scene.root) if word.partition("=")[0] in RAISED]
    if taken:
        yield Finding("cores", "note", f"the kernel's command line keeps cores away: {' '.join(taken)}")


CHECKS = (
    Check("runtime", "What runs models", runtime, (NO_RUNTIME, NO_WHEEL, NUMPY_2)),
    Check("opencv", "OpenCV", opencv, (OPENCV, TWO_OPENCV)),
    Check("picamera2", "Pi camera", picamera, (PICAMERA,)),
    Check("bits", "32 or 64 bit", bits, (SYSTEM_32,)),
    Check("cores", "Cores", cores),
)
