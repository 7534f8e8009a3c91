"""From a list to a prompt, and from one prefill to the attention it gives."""
