"""edge-agent: runs a quantized SSD on camera frames and knows how fast, how hot and how wrong it is.

The map. One street, walked one way by each frame::

    camera -> preprocess -> infer -> postprocess -> measure -> drift -> sample -> publish

Each stage is a room of its own: it imports ``errors``, ``records`` and ``config``, never another stage.
``pipeline`` walks one frame down the street; ``parts`` is what the service is made of, ``service`` its loop and its
life; ``board`` is what belongs to this machine; ``cli`` is the only room that knows Typer. ``model`` reads the .tflite
file as data. ``commands``, ``desired`` and ``remote`` do what is asked for from afar, ``local`` and ``status`` what is
asked on the board; ``presence`` says what is there, ``vitals`` what readings mean, ``diary`` what survives a
restart; ``governor`` and ``pacing`` keep the board from throttling, ``following`` keeps the model's light as it was.
Applications: ``bench`` measures how fast this board is and whether that may be believed, ``doctor`` what is wrong with
it, ``parity`` whether two ways of running a model agree (``matching`` pairs their boxes, ``resampling`` says how sure
that is), ``recalibrate`` and ``repair`` mend a deployed model (``outset`` is what they begin from), ``samples`` shows
the frames that ``sample`` kept, takes them along and removes them. Below all of them: ``files`` writes a file whole,
``sqlite`` keeps rows on a disk that may fail.
"""

__version__ = "0.1.0"
