"""The pure heart: what was asked, what happened, what to do next.

Nothing here reads a clock, a file, the environment or the operating system.
"""
