"""Scaling laws: fits with intervals, breaks, comparisons. Tables in, findings out."""
