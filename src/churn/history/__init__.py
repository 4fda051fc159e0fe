"""States of the project, read from git, DVC and the files."""
