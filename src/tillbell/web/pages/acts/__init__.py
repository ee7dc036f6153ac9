"""What people change on pages, by the thing that is changed."""
