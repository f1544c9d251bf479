"""The pure core: what a reading lets us do, the exact request, what an answer proves."""
