"""Pages that are told anew at each request: the warehouse, and what it keeps and can prove."""
