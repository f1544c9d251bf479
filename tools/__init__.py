"""What the repository's own commands are made of; nothing here is installed with a service."""
