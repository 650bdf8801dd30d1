"""Answers that a group shares, so that a question asked twice is answered once."""
