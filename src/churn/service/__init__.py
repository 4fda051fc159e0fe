"""The scoring service: customers over HTTP to the decision, with the bits of the batch."""
