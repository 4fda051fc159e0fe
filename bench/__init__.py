"""Measurements that the README quotes; run from the project's folder."""
