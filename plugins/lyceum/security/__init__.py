"""Who may see what, and how the warehouse knows who is asking."""
