"""Tables, figures and the ledger of claims."""
