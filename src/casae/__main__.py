"""`python -m casae` is the command `casae`."""

from casae.cli.main import main

main()
