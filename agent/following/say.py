"""The correction of the light in words: a change of it, and how it stands. Pure."""

from __future__ import annotations

from agent.records import ChangeCause, Correction, LightChange, LightStatus

WHY: dict[ChangeCause, str] = {
    "followed": "the light is not that of the reference",
    "released": "it made the picture worse",
    "resumed": "it makes the picture better again",
    "noise": "it lifted too much of the sensor's noise",
    "relearn": "the light is learned anew",
    "dropped": "what was kept belongs to another reference or model",
    "off": "correction.mode allows it no more",
}


def words(correction: Correction) -> str:
    """A correction's numbers that do something.

    >>> words(Correction(gain=2.5, balance=(1.2, 1.0, 0.9)))
    'gain 2.5, balance 1.2 1 0.9'
    >>> words(Correction())
    'nothing'
    """
    parts = [f"black {correction.black:.3g}"] if correction.black else []
    for name, values in (("gain", [correction.gain]), ("gamma", [correction.gamma]), ("balance", correction.balance)):
        shown = [f"{value:.3g}" for value in values]
        if set(shown) != {"1"}:
            parts.append(f"{name} {' '.join(shown)}")
    return ", ".join(parts) or "nothing"


def sentence(change: LightChange) -> str:
    """A change for a person.

    >>> sentence(LightChange(0.0, "followed", Correction(), Correction(gain=2.0), Correction(gain=3.0), 0.5, False))
    'would correct the light by gain 2, before by nothing: the light is not that of the reference'
    """
    verb = "corrects" if change.is_acted else "would correct"
    return f"{verb} the light by {words(change.correction)}, before by {words(change.previous)}: {WHY[change.why]}"


def standing(status: LightStatus) -> str:
    """How it stands, for a person; empty where there is nothing to say.

    >>> standing(LightStatus("learning", learned=3, wanted=30))
    'learns what is usual here: 3 of 30 frames'
    """
    if status.held is not None:
        return f"the correction that lies over the model ({words(status.held)}) is held back: {status.why}"
    if status.state == "learning":
        return f"learns what is usual here: {status.learned} of {status.wanted} frames"
    blocked = "is not learned, for a correction lies over the model; " if status.state == "blocked" else ""
    if status.correction is None:
        return "as it was learned" if status.state == "known" else blocked.removesuffix("; ")
    verb = "corrected by" if status.is_acted else "would be corrected by"
    why = f": {status.why}" if status.why else ""
    return f"{blocked}{verb} {words(status.correction)}{why}"
