"""Measures of the whole router, and the soak that tries to break its promises."""
