"""Plots and pages made from results."""
