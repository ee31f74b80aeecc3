"""What people see: the consent page of a seller, and the panel that moves the sandbox."""
