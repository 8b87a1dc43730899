"""One file for each page, or for a few that belong together: `PAGES` declares them (see `router.console.page`)."""
