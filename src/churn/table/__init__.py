"""A table of customers: read, typed, held against its contract, keyed and divided."""
