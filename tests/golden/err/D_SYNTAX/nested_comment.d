/* a /* b */ */
BEGIN { }
