"""The `trellis` command: runs services and does an administrator's work. It imports no service."""
