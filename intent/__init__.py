"""What should be, and why: pure functions from stored values to what each node and each peer should hold.

No I/O, no clock, no threads. Agents make these answers true; the controller asks the very same functions.
"""
