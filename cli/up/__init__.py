"""`polder up`: etcd, a controller, and where it may, an agent and a speaker, as children of one process."""
