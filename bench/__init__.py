"""Benchmarks that anyone can run: ``make bench``. Each prints what it measured, on what, and with which command.

Speed is stated as a ratio against something that runs in the same process, in alternating blocks; never as a test.
"""
