"""Everything that touches the database or Greenhouse."""
