"""Dashboards, rules and pages about metrics, made from code; and a mesh that is watched for a while."""
