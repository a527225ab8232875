"""The selector's calls, a module for each subject; `servicer.SelectorServicer` joins them."""
