"""The pipeline stage: claims events, runs the steps, writes all that came of an event in one transaction."""
