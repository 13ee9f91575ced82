"""The HTTP server: thin routes over the pipeline. It stores nothing about anybody."""
