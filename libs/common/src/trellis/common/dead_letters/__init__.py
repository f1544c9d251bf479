"""Messages that could not be handled: kept in the service's database until a person decides what becomes of each."""
