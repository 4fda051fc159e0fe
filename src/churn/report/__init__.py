"""The analyst's report: the page, the model card, and their pictures."""
