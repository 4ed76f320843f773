"""What `make run` prints when the stack is ready: the addresses of its parts, and commands to paste into a shell."""

from __future__ import annotations

from penstock.local.stack import Stack

_EXAMPLE = "samples/operations-handbook.pdf"


def banner(stack: Stack) -> str:
    """The text to print. It begins with a line that says Ready."""
    key = f'"Authorization: Bearer $(cat {stack.config.key_file})"'
    return f"""
Ready.
  API             {stack.url}
  Documentation   {stack.url}/docs
  API key         {stack.config.key_file}
  Drop folder     {stack.drop_folder}
  Logs            {stack.config.logs}

Paste into a second shell, in this folder:

  add by HTTPS    curl -s {stack.url}/v1/documents -H {key} -F files=@{_EXAMPLE} -F document_id=by-https
  add by S3       .venv/bin/penstock drop {_EXAMPLE}
  search          curl -s "{stack.url}/v1/search?q=counterweight+of+the+inlet+valve" -H {key}
  or              .venv/bin/penstock search "counterweight of the inlet valve"

Ctrl-C ends the stack and every process that it started.
"""
