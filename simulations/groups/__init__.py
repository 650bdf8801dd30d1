"""Groups at a size that no machine runs as whole nodes: members with a socket each, and the rooms of groups alone."""
