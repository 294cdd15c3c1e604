"""A small server of OpenAI's completions that answers from a real model of a folder."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import torch

from pipeline.score.proxy.pretrained import load_models
from pipeline.score.proxy.tokenizer import encode, load_language


class Served:
    """A model behind an address, with what was asked of it.

    Attributes:
        echoes: whether it gives log probabilities of a prompt.
        failures: requests that it still answers with status 503.
        asked: the bodies and the headers of all requests.
    """

    def __init__(self, folder):
        self.language = load_language(folder, "here")
        [self.model] = load_models([str(folder)], self.language.size, "cpu")
        self.echoes, self.failures, self.asked = True, 0, []

    def answer(self, body):
        """Return the answer to one request."""
        [one] = encode(self.language.tokenizer, [body["prompt"]], self.language.eos)
        tokens = [self.language.eos, *one.tokens.tolist()]
        new: list[int] = []
        with torch.inference_mode():
            logits = self._logits(tokens)
            log_p = logits.log_softmax(-1)
            for _ in range(min(body["max_tokens"], 40)):
                new.append(int(self._logits([*tokens, *new])[-1].argmax()))
        text = self.language.tokenizer.decode(new)
        choice = {"text": text, "index": 0, "finish_reason": "length"}
        if body.get("echo") and self.echoes:
            starts = self._starts(body["prompt"], one)
            choice["text"] = body["prompt"] + text
            choice["logprobs"] = {
                "text_offset": [*starts, len(body["prompt"])],
                "token_logprobs": [
                    *(float(log_p[n, t]) for n, t in enumerate(tokens[1:])),
                    float(log_p[-1, new[0]]),
                ],
            }
        elif body.get("logprobs"):  # as servers do that ignore `echo`
            choice["logprobs"] = {"text_offset": [0], "token_logprobs": [-0.5]}
        return {"object": "text_completion", "choices": [choice]}

    def _logits(self, tokens):
        hidden = self.model.hidden(torch.from_numpy(np.array([tokens], np.int64)))
        return self.model.head(hidden)[0]

    @staticmethod
    def _starts(prompt, one):
        raw = prompt.encode()
        return [len(raw[:start].decode()) for start in one.starts.tolist()]


@contextlib.contextmanager
def serving(served):
    """Serve a model at an address of this machine while the block runs; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.asked.append((self.path, body, dict(self.headers)))
            if self.path.startswith("/moved"):
                self.send_response(307)
                self.send_header("Location", "/v1/completions")
                self.end_headers()
                return
            if served.failures or body.get("model") == "unknown":
                code = 404 if body.get("model") == "unknown" else 503
                served.failures = max(0, served.failures - 1)
                self.send_error(code)
                return
            data = json.dumps(served.answer(body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_given):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
