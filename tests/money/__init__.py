"""What callbacks do to money, over a whole gateway on a real store."""
