"""The proof of the rate budget: a long backfill, a limit that shrinks, and people who wait meanwhile."""
