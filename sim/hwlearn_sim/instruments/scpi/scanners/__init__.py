"""Virtual scanning voltmeters with SCPI."""
