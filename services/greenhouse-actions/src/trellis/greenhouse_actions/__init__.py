"""Greenhouse-actions: idempotent writes to Greenhouse as the service user, and the readings others ask for."""
