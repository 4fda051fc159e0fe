"""Audit for leaks and other causes of too optimistic metrics; runs after the split, before any model is fitted."""
