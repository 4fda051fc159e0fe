"""What happened, shown in MLflow. Files are the record; this is a view of them.

`description` turns a state of `history` into the plain values of `record`, which `outbox` keeps. `recorder` is what a
stage calls; it sees that `publisher`, a process beside, carries the outbox to the `store`, which alone imports mlflow,
at the place that `destination` names. `sync` does so by hand, and `lineage` tells what belongs together. `ledger` says
who was champion when.
"""
