"""What every service does to notice faults of a set-up by itself: look at a low pace, keep and show what is found."""
