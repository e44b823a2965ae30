"""ExaBGP, one process for each peer, driven over a socket that survives this program's restarts.

driver -- bridge.sock -- bridge -- stdin, stdout -- ExaBGP -- TCP 179 -- peer
`-- starts launcher, which becomes ExaBGP, which starts bridge
"""
