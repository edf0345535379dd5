"""Rows: their storage, views of them, batches, and the data of a training."""
