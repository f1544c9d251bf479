"""The `./dev` command: set-up, private servers, the running system and the checks.

Only the standard library is imported here, because this code runs before anything is installed.
"""
