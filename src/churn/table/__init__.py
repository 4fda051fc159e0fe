"""The customer table: reading, parsing, validation against the contract, row keys and splits."""
