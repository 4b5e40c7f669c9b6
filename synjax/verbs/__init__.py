"""What the verbs of a sweep do: training → evaluation → reporting, on a working directory."""
