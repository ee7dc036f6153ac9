"""What is done inside a transaction, the same for both databases."""
