"""Watch a model: drift of its customers, estimated and realised profit, and the files that show both."""
