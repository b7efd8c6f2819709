"""Regression tables."""

TABLES: dict = {}
