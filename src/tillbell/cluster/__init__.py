"""Several processes on one database: who is there, and what others changed."""
