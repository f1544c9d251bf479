"""`./dev audit`: under which licences, and with which known vulnerabilities, stands what is installed."""
