"""Coderbyte for organizations as seen from outside: the REST API and its signed webhooks."""
