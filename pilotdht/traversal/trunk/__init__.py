"""Trunks: a node whose UDP is blocked borrows the UDP socket of a server of the mesh, over one TLS connection.

Everything above the socket goes on unchanged: for its peers such a node simply is at an endpoint of the server's.
"""
