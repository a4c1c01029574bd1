"""The server's side of TLS, and ways to fail at it. Certificates are made by openssl in the run's own folder.

A behaviour `tls_TERMS=INSIDE` holds to the terms below; where the handshake comes to an end, what is inside is a behaviour of
upstream.py ("ok" where none is named). The secrets of each connection go to keys.log in that folder, in NSS's format.
"""
from dataclasses import dataclass
import os
import ssl
import subprocess
import time

FOLDER = "WHY502_LAB_TLS"               # environment: where the certificates and the key log are
NAME = "app.internal"                   # whom gateways ask for
KEYS = "keys.log"


@dataclass
class Terms:
    certificate: str = "good"           # or expired, othername
    maximum: object = None              # version
    wants_name: bool = False            # no handshake without SNI
    wants_certificate: bool = False     # of the client
    silent: float = 0                   # after the ClientHello, seconds
    closes: bool = False                # after the ClientHello


TERMS = {
    "good": Terms(), "expired": Terms("expired"), "othername": Terms("othername"), "named": Terms(wants_name=True),
    "old": Terms(maximum=ssl.TLSVersion.TLSv1_1), "mutual": Terms(wants_certificate=True),
    "mutual12": Terms(wants_certificate=True, maximum=ssl.TLSVersion.TLSv1_2), "good12": Terms(maximum=ssl.TLSVersion.TLSv1_2),
    "expired12": Terms("expired", maximum=ssl.TLSVersion.TLSv1_2), "silent": Terms(silent=30), "closes": Terms(closes=True),
}


def run(folder, *command):
    subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


def make_certificates(folder):
    """ca.pem, which gateways trust, and one file for each kind of certificate, its key in it."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Lab CA", "-days", "30")
    os.makedirs(os.path.join(folder, "newcerts"), exist_ok=True)
    for name in ("index.txt", "index.txt.attr"):
        with open(os.path.join(folder, name), "w", encoding="ascii"):
            pass
    with open(os.path.join(folder, "ca.conf"), "w", encoding="ascii") as f:
        f.write("[ca]\ndefault_ca=a\n[a]\nnew_certs_dir=newcerts\ndatabase=index.txt\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
                "copy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n")
    for kind, name, end in (("good", NAME, "20991231000000Z"), ("expired", NAME, "20200201000000Z"), ("othername", "other.internal", "20991231000000Z")):
        run(folder, "req", *key, "-keyout", kind + ".key", "-out", kind + ".csr", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:" + name)
        run(folder, "ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", kind + ".csr", "-out", kind + ".crt",
            "-startdate", "20200101000000Z", "-enddate", end, "-notext")
        with open(os.path.join(folder, kind + ".pem"), "w", encoding="ascii") as out:
            for part in (".crt", ".key"):
                with open(os.path.join(folder, kind + part), encoding="ascii") as f:
                    out.write(f.read())
    with open(os.path.join(folder, KEYS), "w", encoding="ascii"):
        pass


def context_of(terms):
    """Of one connection: its key log is opened by name, and so follows a rotation."""
    folder = os.environ[FOLDER]
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(os.path.join(folder, terms.certificate + ".pem"))
    c.keylog_filename = os.path.join(folder, KEYS)
    if terms.maximum is not None:
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version = ssl.TLSVersion.TLSv1
        c.maximum_version = terms.maximum
    if terms.wants_name:
        c.sni_callback = lambda _, name, __: None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    if terms.wants_certificate:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(os.path.join(folder, "ca.pem"))
    return c


class Behaviour:
    """Callable, so that it is a behaviour like any other; `wrap` gives the connection inside, None where there is none."""

    def __init__(self, terms):
        self.terms = terms

    def wrap(self, sock):
        if self.terms.silent or self.terms.closes:
            sock.recv(65536)
            time.sleep(self.terms.silent)
            return None
        return context_of(self.terms).wrap_socket(sock, server_side=True)


BEHAVIOURS = {"tls_" + name: Behaviour(terms) for name, terms in TERMS.items()}
