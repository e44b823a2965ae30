"""What a router says of its BGP table by the BGP Monitoring Protocol (RFC 7854), as pure values and state."""
