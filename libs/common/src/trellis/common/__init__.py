"""What all Trellis services share: the messages, the broker and database plumbing, the ledger.

Nothing here knows one service's domain, and nothing here imports a service.
"""
