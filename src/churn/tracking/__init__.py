"""What happened, shown in MLflow. Files are the record; this is a view of them.

`state` reads dvc.yaml and dvc.lock: which experiment the files belong to, and which stages are up to date.
`description` turns files into plain values. `destination` says where they go. `mlflow_store` alone imports mlflow.
`recording` is what a stage calls.
"""
