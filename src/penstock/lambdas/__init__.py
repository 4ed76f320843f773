"""Lambda's doors: each handler translates an event, calls one verb and translates back."""
