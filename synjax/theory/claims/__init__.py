"""The paper's statements, by section, as data that `audit` evaluates."""
