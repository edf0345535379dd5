"""Results of a run that may be stopped. It imports nothing slow: child processes do."""

import json


def stored(path, *keys):
    """``{values of the keys: row}`` of a file of JSON lines."""
    rows = {}
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the run was stopped while it wrote this line
            rows[tuple(row[key] for key in keys)] = row
    return rows
