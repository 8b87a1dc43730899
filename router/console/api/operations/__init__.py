"""One file for each subject: `OPERATIONS` declares what it does (see `router.console.api.operation`)."""
