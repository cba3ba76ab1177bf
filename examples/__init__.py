"""Programs to read and run; the tests run them too."""
