"""Messages on the wire: frozen dataclasses, one a type, and the envelope that carries them.

A type name with its version is a contract. Readers ignore fields they do not know; a field is never
renamed or tightened inside a version.
"""
