"""What happened, shown in MLflow. Files are the record; this is a view of them.

`state` reads dvc.yaml and dvc.lock: which experiment the files belong to, and which stages are up to date.
`description` turns files into plain values. `destination` says where they go. `mlflow_store` alone imports mlflow.
`recording` is what a stage calls: it starts `publisher`, a process that loads MLflow while the stage computes, and
hands it the outcome as `handover` describes it.
"""
