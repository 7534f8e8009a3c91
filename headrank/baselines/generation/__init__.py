"""Generative baselines: a language model is asked, and its answer or probabilities rank."""
