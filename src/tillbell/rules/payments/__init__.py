"""Decisions about money, parcels and e-mails: plain functions, no I/O, no clock."""
