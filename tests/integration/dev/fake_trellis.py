"""Stands in for the `trellis` command: it notes its calls, and a service only says that it is ready."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def main(arguments: list[str]) -> None:
    keyring = json.loads(Path(os.environ["TRELLIS_KEYRING_FILE"]).read_text())
    print(json.dumps({"arguments": arguments, "key": keyring["keys"][0]["id"]}), flush=True)
    if arguments[0] == "run":
        if os.environ.get("TRELLIS_FAILPOINT") == "at-start":
            sys.exit(9)
        place = os.environ[f"TRELLIS_{arguments[1].upper().replace('-', '_')}_ADMIN_LISTEN"]
        host, _, port = place.partition(":")
        HTTPServer((host, int(port)), Ready).serve_forever()


main(sys.argv[1:])
