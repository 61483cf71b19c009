"""The command `utd`: run, try and look into the whole stack."""
