"""The planner: functions over one state. Facts go in, orders come out.

``state.py`` has all that a plan knows, with one outbox of records and orders; ``units.py`` the
states of a unit, ``summary.py`` the numbers. ``reactor.py`` hands each fact to one function of
``attempts.py``, ``stages.py`` or ``requests.py``. These use ``verdicts.py`` (how a unit begins
and ends), which uses ``reuse.py`` (which earlier results are still valid), ``policies.py`` (when a
failure stops other units) and ``stops.py``. Starts depend on ``pace.py``, too.
`tests/test_layering.py` has their order.
"""
