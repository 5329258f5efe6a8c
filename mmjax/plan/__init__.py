"""What a step costs on a TPU slice that nobody has rented yet: compiled here, ahead of time, for its topology.

A child process compiles (`topology`, `child`), the optimised program is read (`hlo`), the chip's figures (`chips`) turn
its FLOPs and bytes into a time (`roofline`), and `report` prints it.
"""
