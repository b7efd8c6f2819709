"""Tables in: files, built-in data sets and objects in memory, cell by cell, and rows held out."""
