"""What `make chaos` runs: `connect run` under fire, and the accounts that must come out right."""
