"""Virtual time and an in-memory network that run the very node code that runs on real sockets."""
