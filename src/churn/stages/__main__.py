"""A stage in the current folder: `python -m churn.stages NAME`, as dvc.yaml runs it."""

from churn.stages.start import main

if __name__ == "__main__":
    main()
