"""Run a stage in the current folder: `python -m churn.stages NAME`, as in dvc.yaml."""

from churn.stages.start import main

if __name__ == "__main__":
    main()
