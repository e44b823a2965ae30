"""The measurements. Each row runs its peer in the same run; see `python -m bench --help`."""
