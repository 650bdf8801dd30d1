"""The stock server of the package ``kademlia`` on the same clock and network, to compare with."""
