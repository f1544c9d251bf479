"""A Greenhouse and a Coderbyte to run Trellis against, in one process and in memory.

It is as strict as the vendors are known to be, and shares no code with the services, so that one mistake cannot hide
in both. Nothing here is imported by a service.
"""
