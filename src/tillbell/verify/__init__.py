"""The library that receivers import: verify what Tillbell sent."""
