"""edge-agent: runs a quantized SSD on camera frames and knows how fast, how hot and how wrong it is.

The map. One street, walked one way by each frame::

    camera -> preprocess -> infer -> postprocess -> measure -> drift -> sample -> publish

Each stage is a room of its own: it imports ``errors``, ``records`` and ``config``, never another stage.
``pipeline`` walks one frame down the street; ``service`` builds the pipeline, owns the threads and the exit
code; ``cli`` is the only file that knows Typer. ``model`` reads the .tflite file as data.
"""

__version__ = "0.1.0"
