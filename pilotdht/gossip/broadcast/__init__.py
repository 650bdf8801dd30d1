"""Messages to all members of a group: neighbours, a tree that repairs itself, and delivery in each sender's order."""
