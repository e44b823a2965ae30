"""Hosts in network namespaces with real etcd, Open vSwitch and FRR, for the demo, the tests and bench.

`Lab` is the whole; a `Host` is one namespace with what one does on a machine. Nothing here imports
Polder: its programs are started as a user starts them, and it is spoken to over REST.
"""
