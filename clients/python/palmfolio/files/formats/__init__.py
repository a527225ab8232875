"""One module for each way in which files hold rows."""
