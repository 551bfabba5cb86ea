"""``python -m tools.demo_model``: train, export, measure and bundle the demo model; each step by itself, or all.

Needs the extra ``demo-model`` (TensorFlow with the legacy Keras) for training and export; measuring and bundling run
with what ``tools`` installs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from agent.bundle import generate_key, read_secret_key
from agent.errors import AgentError
from tools.demo_model import build, measure

STEPS, SETTLING_STEPS = 11_000, 1_600
ALL = ("train", "settle", "export", "measure", "bundle")


def main(arguments: list[str] | None = None) -> int:
    """Run the steps that are named; returns the exit code."""
    options = _parser().parse_args(arguments)
    folder: Path = options.out
    try:
        for step in options.steps or ALL:
            _run(step, folder, options)
    except AgentError as error:
        sys.stderr.write(f"demo_model: {error}\n")
        return error.exit_code
    except ModuleNotFoundError as error:
        sys.stderr.write(f"demo_model: {error.name} is not installed; pip install 'edge-agent[tools,demo-model]'\n")
        return 75
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.demo_model", description=__doc__)
    parser.add_argument("steps", nargs="*", choices=[*ALL, []], help="steps to run; none: all of them, in this order")
    parser.add_argument("--out", type=Path, default=Path("build/demo-model"), help="folder for what is made")
    parser.add_argument("--steps-of-training", dest="training_steps", type=int, default=STEPS)
    parser.add_argument("--steps-of-settling", dest="settling_steps", type=int, default=SETTLING_STEPS)
    parser.add_argument("--scenes", type=int, default=500, help="held-out scenes under each condition")
    parser.add_argument("--key", type=Path, help="minisign secret key; none: a new one, forgotten once it has signed")
    parser.add_argument("--bundle", type=Path, help="where the bundle goes; default: in --out")
    return parser


def _run(step: str, folder: Path, options: argparse.Namespace) -> None:
    if step in {"train", "settle"}:
        from tools.demo_model import train  # noqa: PLC0415  # TensorFlow takes seconds to import, and is an extra

        if step == "train":
            train.train(folder, options.training_steps)
        else:
            train.settle(folder, options.settling_steps)
    elif step == "export":
        from tools.demo_model.export import export  # noqa: PLC0415

        export(folder / "weights.h5", folder)
    elif step == "measure":
        _measure(folder, options.scenes)
    else:
        key = read_secret_key(options.key) if options.key else generate_key()
        made = build.build(_files(folder), options.bundle or folder / "demo.bundle", key)
        made.with_suffix(".pub").write_text(key.public.text())
        sys.stdout.write(f"{made}: {made.stat().st_size} bytes, {made.with_suffix('.pub').name} beside it\n")


def _measure(folder: Path, scenes: int) -> None:
    files, labels = _files(folder), build.write_labels(folder)
    found = measure.table(files, labels, scenes)
    plain = {condition: {name: asdict(score) for name, score in each.items()} for condition, each in found.items()}
    (folder / "scores.json").write_text(json.dumps(plain, indent=2))
    sys.stdout.write(measure.show(found) + "\n\n")
    for name in ("float", "float_raw", "int8", "int8_raw"):
        median_s, least_s = measure.invoke_s(measure.load(files[name], labels))
        size = files[name].stat().st_size
        sys.stdout.write(f"{name}: invoke {1e3 * median_s:.2f} ms (minimum {1e3 * least_s:.2f}), {size} bytes\n")


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.tflite"))}


if __name__ == "__main__":
    # Keras 3 is what TensorFlow takes unless it is told otherwise before its first import.
    import os

    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    sys.exit(main())
