"""params.yaml: its sections as types, and how it is edited."""
