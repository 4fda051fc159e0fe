"""The report: HTML page, model card and figures."""
