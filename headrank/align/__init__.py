"""Alignment: graded preferences trained into the selected heads' attention."""
