"""ArC TWO: a 32 x 32 array behind `hwlearn.Network`."""
