"""The documentation, and `docs.generate`, which writes the pages that follow from the code."""
