"""Rows: where they come from, how they are batched, what a training gets of them."""
