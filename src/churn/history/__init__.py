"""States of the project, as git, DVC and the files themselves know them."""
