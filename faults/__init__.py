"""Faults: a real system, hurt on purpose, judged by what the outside saw."""
