"""The distributed hash table: who is near a key, what is kept there, and how both are found."""
