#!/usr/bin/env python3
"""A client that asks one request after another on one connection where the gateway allows it; several such at once.

    client.py HOST PORT < SCRIPTS       {"NAME": [{"target": …, "method": …, "after_s": …, "body_bytes": …, "abort_s": …,
                                         "fresh": …}, …], …}

Prints {"NAME": [{"method", "target", "status", "whole", "port"}, …], …}: `status` is null where no answer could be read, `whole`
false where it was cut short. `fresh`: on a connection of its own.
"""
import http.client
import json
import sys
import threading
import time

PATIENCE_S = 8
http.client._MAXLINE = 1 << 20          # pylint: disable=protected-access; some header fields here are that long


def asked(c, ask):
    """(status, whole, whether the connection is at its end)"""
    body = b"x" * ask["body_bytes"] if ask["method"] == "POST" else None
    c.request(ask["method"], ask["target"], body, {"Host": "shop.example", "User-Agent": "lab/1"})
    if ask["abort_s"]:
        time.sleep(ask["abort_s"])
        return None, False, True
    r = c.getresponse()
    try:
        r.read()
    except (OSError, http.client.HTTPException):
        return r.status, False, True
    return r.status, True, r.will_close


def play(host, port, asks):
    answers, c = [], None
    for ask in asks:
        time.sleep(ask["after_s"])
        if ask["fresh"] and c is not None:
            c.close()
            c = None
        if c is None:
            c = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
            c.connect()
        answer = {"method": ask["method"], "target": ask["target"], "port": c.sock.getsockname()[1]}
        try:
            answer["status"], answer["whole"], over = asked(c, ask)
        except (OSError, http.client.HTTPException):
            answer["status"], answer["whole"], over = None, False, True
        if over:
            c.close()
            c = None
        answers.append(answer)
    return answers


def main():
    host, port, scripts, answers = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin), {}

    def one(name):
        answers[name] = play(host, port, scripts[name])

    threads = [threading.Thread(target=one, args=(name,)) for name in scripts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
