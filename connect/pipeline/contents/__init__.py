"""The contents of a message, compiled: each is bound to a batch of rows, and then makes one message for a row."""
