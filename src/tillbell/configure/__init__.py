"""Changes of what users configure: checked, sealed, and stored with a version, so none is lost."""
