"""Types for the sections of params.yaml, and editing of the file."""
