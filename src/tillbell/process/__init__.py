"""Decides what a stored callback means, and what people do. One decision is one commit."""
