"""The scoring service beside other servers of the same model: `python -m bench.serving`."""
