"""Prefect flows: order, retries, schedules."""
