"""The way of a packet from end to end: what each node tells of its part, and what routers were told."""
