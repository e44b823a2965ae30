"""What routers say of themselves by BMP (RFC 7854), and the comparison with what their nodes announce."""
