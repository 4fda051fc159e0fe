"""HTTP: routes, what stands before them, and their description."""
