"""Write-verify: programs single devices by pulses until their conductance is reached."""
