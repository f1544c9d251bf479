"""Writes the parts of the documents that are made from the code; a test fails when they are stale."""
