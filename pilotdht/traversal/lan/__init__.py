"""Neighbours on the same link: who announces itself there, and what is told to whom of private addresses."""
