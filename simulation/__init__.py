"""Plays seeded histories of the whole system in memory: the real handlers, deciders, ledgers and relays on twins.

Time, order, failures and deaths come from one seed, so a history that breaks a promise breaks it again.
"""
