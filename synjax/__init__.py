"""synjax: experiments in synonymous source coding."""

__version__ = "0.1.0"
