"""What a node tells of itself when it is asked: read when it is asked, and nothing is changed."""
