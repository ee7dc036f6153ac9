"""The one HTTP client: guarded against private addresses, bounded in time and size."""
