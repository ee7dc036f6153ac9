"""`python -m tillbell`: the same as the command."""

from tillbell.cli import main

main()
