"""One page that shows what a sweep found: look first, read where you want to."""
