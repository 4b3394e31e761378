"""Eleven years of every schedule, played by their clocks on one real warehouse."""
