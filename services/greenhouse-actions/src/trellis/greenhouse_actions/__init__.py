"""Placeholder for the package of this name."""
