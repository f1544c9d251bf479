"""In-memory twins of the services' stores and of the broker: transactions, locks, leases and redelivery included."""
