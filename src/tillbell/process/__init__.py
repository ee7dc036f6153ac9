"""What a stored callback means: one decision, one commit."""
