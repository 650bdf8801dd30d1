"""Groups: who is a member, what members tell one another, and how both survive failures and liars."""
