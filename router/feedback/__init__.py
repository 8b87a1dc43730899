"""What comes back: DSN and MDN from the mailbox, and the business acknowledgements (ZAM) that tell the sender."""
