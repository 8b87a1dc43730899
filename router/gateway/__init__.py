"""The way in: MLLP, HTTP, watched folders and `raw.<feed>` topics, all around one `Intake`."""
