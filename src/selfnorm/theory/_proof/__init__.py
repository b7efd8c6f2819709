"""What is proved in ball arithmetic; the one part of the theory that needs python-flint."""
