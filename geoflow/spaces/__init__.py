"""Where points live."""
