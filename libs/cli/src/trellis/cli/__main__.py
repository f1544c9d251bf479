"""`python -m trellis.cli`."""

from trellis.cli.main import main

main()
