"""Small in-memory classes that keep the promises of the ports; each passes the contract suite of its port."""
