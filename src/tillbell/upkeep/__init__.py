"""What runs by itself at intervals."""
