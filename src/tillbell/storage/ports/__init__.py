"""What the program asks of a database: protocols and their contracts."""
