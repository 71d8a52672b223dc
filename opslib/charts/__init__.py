"""Charts in one look: deterministic SVG with a sentence as title, units, and text that a phone can show."""
