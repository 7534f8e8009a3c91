"""What each method costs."""
