"""What left the router and what came back: sealed content for some days, its proof for years."""
