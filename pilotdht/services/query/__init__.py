"""Questions and answers between agents, on virtual port 1003."""
