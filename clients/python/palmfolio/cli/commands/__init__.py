"""The commands: a module for each verb without a noun, a module or package for each noun.

Whatever is slow to load, such as gRPC and rich, is imported inside the functions and not at the top
of the modules, so that `palmfolio --help` answers at once; a test checks it.
"""
