"""Engines start, stop and wait for attempts, on this machine or in another process."""
