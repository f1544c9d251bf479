"""What `ingest` keeps in PostgreSQL: endpoints with their secrets, the spool, sealed bodies."""
