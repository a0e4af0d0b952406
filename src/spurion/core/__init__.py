"""Argument checks, configurations, random generators and atomic files: what every layer stands on."""
