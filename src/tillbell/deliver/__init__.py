"""The way of a message: published, fanned out, sent, retried, resent."""
