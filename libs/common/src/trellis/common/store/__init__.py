"""PostgreSQL: the pool, migrations, and the inbox and outbox that every service's schema holds."""
