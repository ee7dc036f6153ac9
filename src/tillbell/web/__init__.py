"""HTTP in: the REST API and the pages."""
