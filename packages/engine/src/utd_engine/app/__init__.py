"""Services: one transaction each. The ports that adapters fill live here too."""
