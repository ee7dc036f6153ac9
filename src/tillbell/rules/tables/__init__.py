"""Tables: the shop's records as CSV, written for spreadsheets and read from them."""
