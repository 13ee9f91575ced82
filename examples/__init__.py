"""Complete projects, each run by the tests."""
