"""The command line of the board. The only room that knows Typer.

Every error becomes one line on stderr and the exit code of :mod:`agent.errors`; a person never sees a traceback.

::

    entry      puts the commands together; ``main``
    running    run, detect, check
    benching   bench
    sweeping   bench --sweep, --tune
    health     doctor
    parity     parity
    settings   config init, show, explain
    repair     recalibrate
    samples    samples list, show, export, purge
    local      status, ask
    broker     topics, mqtt purge
    model      model show, model diff; model_text lays their pages out
    options    what several of them share
    plain      wrong values of options in plain words
"""

try:
    from agent.cli.entry import app, main
except KeyboardInterrupt:  # Ctrl-C while this is being loaded: as entry.main ends on it
    raise SystemExit(130) from None

__all__ = ["app", "main"]
