"""What an experiment will take before it is started."""
