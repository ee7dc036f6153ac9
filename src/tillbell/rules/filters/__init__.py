"""The filter grammar: its text, what each list takes, and what it asks of the store."""
