"""A test in the manner of Jepsen: clients at work, faults under them, a check of what was recorded."""
