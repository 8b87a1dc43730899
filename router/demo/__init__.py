"""`make demo`: a hospital's day, played against simulators that check with code of their own."""
