"""Where the rooms meet: from a site file to running workers. Nothing here knows a rule, a protocol or a lane."""
