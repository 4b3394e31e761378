"""Properties of the whole warehouse: any history, delivered in any way, ends in the numbers that the oracle computes."""
