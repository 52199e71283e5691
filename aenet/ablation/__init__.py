"""The ablation study: its rows, and the report."""
