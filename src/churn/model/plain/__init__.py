"""The fast path: the decision's arithmetic without scikit-learn, used only where it is proved to give the same bits."""
