"""Backend ``arc2``: crossbars of up to 32 x 32 devices on an ArC TWO."""
