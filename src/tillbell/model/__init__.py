"""The nouns: records without behaviour or I/O."""
