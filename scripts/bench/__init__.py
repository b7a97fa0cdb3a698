"""The benchmarks of procsup: ``python scripts/bench.py`` runs them.

``peers`` what is compared, one entry each · ``works`` what they are given · ``measure`` one
command's cost, and nothing left of it · ``figures`` the arithmetic · ``budgets``, ``tables``,
``picture`` what is shown · ``programs/`` the children: units, and drivers of the peers.
"""
