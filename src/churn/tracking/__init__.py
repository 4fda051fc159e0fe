"""What happened, shown in MLflow. Files are the record; this is a view of them.

`state` reads dvc.yaml and dvc.lock: which experiment files belong to, and which stages are up to date. `snapshot` finds
a state with its results, in the workspace or in git. `description` turns it into the plain values of `record`, which
`outbox` keeps. `recording` is what a stage calls; it sees that `publisher`, a process beside, carries the outbox to
`mlflow_store`, which alone imports mlflow, at the place that `destination` names. `sync` does so by hand, and `lineage`
tells what belongs together.
"""
