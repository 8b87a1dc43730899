"""Dead letters for operators: listed and grouped by cause, with what to do, replayed or discarded by command."""
