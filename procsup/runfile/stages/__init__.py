"""Reads stages: their settings, the recipes of their units, the stages that they follow."""
