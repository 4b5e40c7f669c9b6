"""From rows to tables and plots."""
