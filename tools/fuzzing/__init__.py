"""`./dev fuzz`: drives the parsers with inputs that reach ever more of them; see docs/adr/0009."""
