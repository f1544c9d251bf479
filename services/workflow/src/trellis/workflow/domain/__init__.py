"""The core: pure functions over frozen data. No clock, no I/O, no random numbers."""
