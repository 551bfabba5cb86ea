"""What runs on a desk; it may import ``agent``, never the other way.

::

    cli            the command ``edge-tools``
    evaluate       COCO mAP of a detector, through the agent's own street
    demo           broker, agent and live page in one command; ``broker`` and ``processes`` are its parts
    edgetpu/       carries a range patch to a Coral: patched CPU file, compiled again
    fleet/         every board that a broker knows of, on one page
    demo_model/    trains, exports, measures and bundles the detector in the package
    reference      generated pages of the documentation; ``knobs_page`` makes one
"""
