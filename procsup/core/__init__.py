"""The pure core: the plan, the facts, and the orders that follow from them.

Nothing here reads a clock, a file, the environment or the operating system.
"""
