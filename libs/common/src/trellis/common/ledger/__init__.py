"""The ledger: effects on an API without idempotency keys, made once and never guessed about.

`states.py` is the whole life of a row as a table; `table.py` is its SQL; `runner.py` drives rows through
it; `effects.py` says what a service supplies; `budget.py` and `brakes.py` hold rows back.
"""
