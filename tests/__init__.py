"""A package, as others install one of this name beside themselves, which would come before ours."""
