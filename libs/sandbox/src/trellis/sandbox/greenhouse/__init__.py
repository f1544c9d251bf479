"""Greenhouse Recruiting as seen from outside: OAuth tokens, Harvest v3, webhooks."""
