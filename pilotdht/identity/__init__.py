"""Who a node is: its key, and the ids, addresses, names and files that follow from it."""
