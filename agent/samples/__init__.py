"""The kept frames in a person's hands: listed, shown, taken along as a data set or as one picture, removed.

What ``edge-agent samples`` does. Reads beside a running agent; see docs/sampling.md.
"""

from agent.samples.dataset import write_dataset
from agent.samples.pick import Picked, pick, store_folder
from agent.samples.purge import older_than, purge, purge_all
from agent.samples.sheet import with_boxes, write_sheet
from agent.samples.text import as_json, frames, listed, shown

__all__ = [
    "Picked",
    "as_json",
    "frames",
    "listed",
    "older_than",
    "pick",
    "purge",
    "purge_all",
    "shown",
    "store_folder",
    "with_boxes",
    "write_dataset",
    "write_sheet",
]
