"""What users configure: each change checked, sealed and stored, so that none is lost."""
