"""How a site is doing, as values: `segur-router status` shows them, and so may any other screen."""
