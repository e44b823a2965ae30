"""The `polder` command. It speaks REST to a controller and to the agent, and imports no other room."""
