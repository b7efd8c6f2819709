"""One file a question; each checks that the results are right before it times anything."""
