"""The long-running process: a node, its control API on a unix socket, its metrics and its files."""
