"""A merchant's server for the tests: keeps what it is told in DIR/told, answers with the status in DIR/status."""

import http.server
import json
import os
import ssl
import sys

DIR = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status = 200
        if os.path.exists(f"{DIR}/status"):
            status = int(open(f"{DIR}/status").read() or 200)
        with open(f"{DIR}/told", "a") as told:
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.write(json.dumps({"path": self.path, "headers": headers, "body": body, "status": status}) + "\n")
        code = "000000" if status == 200 else "401"
        answer = json.dumps({"ret_code": code, "ret_msg": "Success"}).encode()
        # 299: a status of success with a code of refusal
        if status == 299:
            answer = b'{"ret_code":"401","ret_msg":"no"}'
            status = 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{DIR}/shop.pem", f"{DIR}/shop.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
