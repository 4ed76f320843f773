"""What `make run` prints when the stack is ready: where everything is, and what to paste into a second shell."""

from __future__ import annotations

from penstock.local.stack import Stack

_EXAMPLE = "samples/operations-handbook.pdf"


def banner(stack: Stack) -> str:
    """Begins with a line that says Ready."""
    key = f'"Authorization: Bearer $(cat {stack.place.key_file})"'
    return f"""
Ready.
  API             {stack.url}
  Documentation   {stack.url}/docs
  API key         {stack.place.key_file}
  Drop folder     {stack.drop_folder}
  Logs            {stack.place.logs}

Paste into a second shell, in this folder:

  by HTTPS        curl -s {stack.url}/v1/documents -H {key} -F files=@{_EXAMPLE} -F document_id=by-https
  drop folder     .venv/bin/penstock drop {_EXAMPLE}
  search          curl -s "{stack.url}/v1/search?q=counterweight+of+the+inlet+valve" -H {key}
  or              .venv/bin/penstock search "counterweight of the inlet valve"

Ctrl-C ends this, and all that it started.
"""
