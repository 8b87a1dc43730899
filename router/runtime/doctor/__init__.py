"""What is wrong with an installation, and the line to write or the command to run: `segur-router doctor`."""
