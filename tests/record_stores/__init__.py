"""Learning Record Stores to pull from: two real ones that others wrote, and a door that can be made to misbehave."""
