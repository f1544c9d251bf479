"""Ingest: authenticates the webhooks of both vendors and publishes what they say as facts.

It decides nothing. A webhook answered 200 is confirmed by the broker, or lies in the spool on disk.
"""
