"""Who may do what: people, their roles for each structure, and the tokens of programs."""
