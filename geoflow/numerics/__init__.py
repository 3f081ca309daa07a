"""Tools that know no geometry."""
