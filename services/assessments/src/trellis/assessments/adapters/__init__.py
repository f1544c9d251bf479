"""What touches Coderbyte, PostgreSQL and the other services."""
