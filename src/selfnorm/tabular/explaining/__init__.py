"""What a model has learned, for people: importances, dependence, a row's own, and the pages."""
