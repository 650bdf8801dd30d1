"""Who may open what: handshakes, approvals and the book that remembers them."""
