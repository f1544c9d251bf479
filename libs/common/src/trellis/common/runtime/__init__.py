"""What turns a service into a process: settings, logs, metrics, health, keys, start, drain and stop."""
