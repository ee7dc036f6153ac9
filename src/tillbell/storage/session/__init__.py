"""One connection, one transaction: what every operation uses."""
