"""What adapters share: shapes, proofs, readers."""
