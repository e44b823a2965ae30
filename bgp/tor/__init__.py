"""What a router needs in order to peer with Polder, as a value and as the text of its configuration. Pure."""
