"""What is ranked and judged: candidate lists, runs, judgments, selected heads."""
