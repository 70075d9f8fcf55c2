# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A scripted ACME server: an honest CA, until a test replaces one of its steps.

Orders are ready at once. A step is a method here, by the first word of its path; a test
overrides it with a function (ca, request) -> Answer in `ca.steps`.
"""

import base64
import dataclasses
import http.server
import json
import os
import ssl
import threading

from cryptography import x509

import certificates


@dataclasses.dataclass
class Answer:
    body: object = b""
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)

    def encode(self):
        return (self.body if isinstance(self.body, bytes)
                else json.dumps(self.body).encode())


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclasses.dataclass
class Request:
    path: str
    payload: object
    handler: http.server.BaseHTTPRequestHandler
    number: int = None  # of the order that it is about


class FakeCa:
    def __init__(self, folder, **steps):
        self.authority = certificates.Authority("Fake CA")
        self.steps, self.seen = steps, []
        self.asked, self.issued = [], {}  # names by order, chains by order
        self.sent = 0  # bytes of answers without an end
        self.lock, self.ended = threading.Lock(), threading.Event()
        self._serve(folder)

    def _serve(self, folder):
        tls = certificates.Pair(self.authority, ["localhost"]).write(folder, "fake-ca-")
        self.roots = os.path.join(folder, "fake-ca-root.pem")
        with open(self.roots, "wb") as file:
            file.write(certificates.pem(self.authority.root))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["fullchain"], tls["key"])
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def _handler(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except OSError:  # the client went away, or never spoke TLS
                    self.close_connection = True

            def answer(self):
                size = int(self.headers.get("Content-Length", 0))
                jws = json.loads(self.rfile.read(size)) if size else {}
                raw = unpadded(jws.get("payload", ""))
                fake.answer(Request(self.path, json.loads(raw) if raw else None, self))

            do_GET = do_HEAD = do_POST = answer
        return Handler

    def answer(self, request):
        step, _, number = request.path.strip("/").partition("/")
        with self.lock:
            self.seen.append(step)
            if step == "neworder":
                number = len(self.asked)
                self.asked.append([i["value"] for i in request.payload["identifiers"]])
        request.number = int(number) if number != "" else None
        answer = (self.steps[step](self, request) if step in self.steps
                  else getattr(self, step)(request))
        if answer is not None:
            self.send(request.handler, answer)

    def send(self, handler, answer):
        body = answer.encode()
        handler.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": len(body),
                   "Replay-Nonce": f"nonce{len(self.seen)}", **answer.headers}
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def settings(self, **more):
        """[acme] for certfs.conf."""
        return {"directory": f"{self.url}/dir", "roots-file": self.roots, **more}

    def orders(self, name):
        """How many orders were asked for that have this name."""
        return sum(name in names for names in self.asked)

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    # The honest CA

    def dir(self, _):
        return Answer({"newNonce": f"{self.url}/nonce", "newAccount": f"{self.url}/account",
                       "newOrder": f"{self.url}/neworder",
                       "revokeCert": f"{self.url}/revoke",
                       "keyChange": f"{self.url}/keychange"})

    def nonce(self, _):
        return Answer()

    def account(self, _):
        return Answer({"status": "valid"}, 201, {"Location": f"{self.url}/account/1"})

    def order_body(self, number, status):
        """The order of that number; `number` stands at the end of all its addresses."""
        body = {"status": status, "expires": "2099-01-01T00:00:00Z",
                "identifiers": [{"type": "dns", "value": name}
                                for name in self.asked[number]],
                "authorizations": [f"{self.url}/authz/{number}"],
                "finalize": f"{self.url}/finalize/{number}"}
        if status == "valid":
            body["certificate"] = f"{self.url}/certificate/{number}"
        return body

    def order_answer(self, number, status, http_status=200):
        return Answer(self.order_body(number, status), http_status,
                      {"Location": f"{self.url}/order/{number}"})

    def neworder(self, request):
        return self.order_answer(request.number, "ready", 201)

    def order(self, request):
        return self.order_answer(request.number,
                                 "valid" if request.number in self.issued else "ready")

    def authz(self, request):
        return Answer({"status": "valid", "expires": "2099-01-01T00:00:00Z",
                       "identifier": {"type": "dns", "value": self.asked[request.number][0]},
                       "challenges": [{"type": "http-01", "status": "valid",
                                       "url": f"{self.url}/challenge/{request.number}",
                                       "token": "abcdefghijklmnopqrstuv"}]})

    def finalize(self, request, **how):
        """`how`: what is otherwise in the certificate than the CSR asks for."""
        csr = x509.load_der_x509_csr(unpadded(request.payload["csr"]))
        leaf = self.authority.leaf_of_request(csr, **how)
        self.issued[request.number] = certificates.pem(leaf, self.authority.intermediate)
        return self.order_answer(request.number, "valid")

    def certificate(self, request):
        return Answer(self.issued[request.number], 200,
                      {"Content-Type": "application/pem-certificate-chain"})
