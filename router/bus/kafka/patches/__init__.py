"""What is mended in kafka-python 3.0.x: one file a fault, each with a test that fails without it."""
