"""The event log of applications, and what decides what happens next. It never calls a vendor."""
