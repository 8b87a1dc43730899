"""The process that starts the workers, starts them again when they end, and answers for all of them."""
