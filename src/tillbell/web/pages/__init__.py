"""The pages for people: thin views over what the REST API calls."""
