"""The pages for people: the consent page of a seller, and the panel that moves the sandbox."""
