"""Statistics for people: which time a plot shows, and the numbers of each plot."""
