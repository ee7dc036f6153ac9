"""The `tillbell` command."""
