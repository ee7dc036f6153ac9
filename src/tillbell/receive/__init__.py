"""Takes callbacks in: find the source, verify, parse, store, answer; reprocess stored ones."""
