"""One UDP socket: requests and replies over sealed datagrams, behind the doors that a simulation replaces."""
