"""What touches PostgreSQL: the event log, definitions, timers, read models."""
