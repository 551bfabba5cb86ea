"""What a proof means: whether the patch is used, and why not, in a sentence. Pure."""

from __future__ import annotations

from typing import Literal

from agent.errors import ModelError
from agent.recalibrate.blocks import Interval
from agent.recalibrate.proof import LEAST_SHOWN, Proof
from agent.records import Labels

Verdict = Literal["recalibrate", "cannot-help"]

STRANGE = 0.3
"""Agreement, before and after, below which there is nothing to repair."""

_SOUND = (
    "the deployed model already says what the float model says, quantization is not what is wrong; if it still misses "
    "objects, correct the light, look at the camera, or train it on such pictures"
)


def judge(proof: Proof, labels: Labels | None = None) -> tuple[Verdict, str]:
    """What the proof means, in a sentence.

    Args:
        proof: of the thresholds that are to be in force.
        labels: names of classes; None: they are shown by number.
    """
    gain = (
        f"agreement with the float reference {proof.old.agreement.quality:.3f} -> {proof.new.agreement.quality:.3f} "
        f"({_span(proof.gain)})"
    )
    objection = proof.objection
    if objection is None:
        return "recalibrate", f"{gain}: the patch is surely better"
    if objection == "unseen":
        return "cannot-help", (
            f"the float reference finds objects on {proof.shown} of {proof.blocks} held-out blocks, {LEAST_SHOWN} are "
            "the least: pictures without objects prove nothing; give pictures that show some"
        )
    if objection == "recall":
        return "cannot-help", (
            f"{gain}, but objects that the float reference finds are surely lost: recall "
            f"{proof.old.agreement.recall or 0.0:.3f} -> {proof.new.agreement.recall or 0.0:.3f} "
            f"({_span(proof.recall_gain)}); more pictures, or a new quantization from float"
        )
    if objection == "class":
        names = ", ".join((labels or Labels()).name(number) for number in proof.fallen)
        return "cannot-help", (
            f"{gain}, but surely worse for {names}; pictures that show more of that, or a new quantization from float"
        )
    if proof.is_sound:
        small = " and is too small to change anything for" if objection == "small" else ""
        return "cannot-help", f"{gain}{small}: {_SOUND}"
    return "cannot-help", f"{gain}: the gain may be chance; more frames, or a new quantization from float"


def refuse_stranger(proof: Proof, *, by_twin: bool) -> None:
    """Refuse what no range can repair: neither file says what the reference says.

    Args:
        proof: at the deployed thresholds.
        by_twin: the reference is the file's own float twin, so that it cannot be another model.

    Raises:
        ModelError: so it is.
    """
    best = max(proof.old.agreement.quality, proof.new.agreement.quality)
    if proof.shown < LEAST_SHOWN or best >= STRANGE:
        return
    if by_twin:
        raise ModelError(
            "with ranges measured anew the model is still far from what its own weights say in float (agreement "
            f"{best:.2f} at best): no range repairs that; quantize it anew from the float model"
        )
    raise ModelError(
        f"the float model and the deployed one say different things (agreement {best:.2f} at best): "
        "is it the model that this one was made from?"
    )


def _span(gain: Interval) -> str:
    return f"{gain.value:+.3f}, 95 %: {gain.low:+.3f} to {gain.high:+.3f}"
