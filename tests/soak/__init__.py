"""Random life in a lab, and who can be reached after each change: finds what no scenario was written for."""
