"""Publish states and executions to MLflow. The files are the source of truth; MLflow is a view of them.

`description` converts a state of `history` into the plain values of `record`, which `outbox` stores. A stage calls
`recorder`; it starts `publisher`, a background process that publishes the outbox to the `store`, the only package that
imports mlflow, at the `destination`. `sync` publishes on demand. `lineage` finds all names of a state. `ledger` records
the champions.
"""
