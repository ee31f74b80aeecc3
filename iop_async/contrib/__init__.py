"""For programs around this library: each module needs an extra of its own."""
