"""The fleet on one page: what the boards publish, collected from a broker and served live.

``boards`` is the picture of the fleet in memory; ``collector`` fills it from MQTT; ``server`` serves the page.
"""
