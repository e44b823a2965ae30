"""Whether the endpoints of services are well: asked from this host, at their own addresses."""
