"""Tokens: those that people and systems present, and those by which the database knows who is asking."""
