"""Neural models: they turn texts into numbers on a device."""
