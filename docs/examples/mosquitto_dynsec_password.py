"""Gives a client of a mosquitto dynamic-security file its password, read from standard input.

python3 mosquitto_dynsec_password.py dynsec.json cam1 < cam1.password
"""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path

ITERATIONS = 100_000

if len(sys.argv) != 3:
    sys.exit("usage: python3 mosquitto_dynsec_password.py DYNSEC.json USER < FILE_WITH_THE_PASSWORD")
path, name = Path(sys.argv[1]), sys.argv[2]
try:
    clients = (document := json.loads(path.read_text()))["clients"]
except OSError as error:
    sys.exit(f"{path}: cannot be read: {error.strerror}")
except (ValueError, KeyError, TypeError):
    sys.exit(f"{path}: is no file of mosquitto's dynamic security")
password = sys.stdin.readline().rstrip("\n").encode()
client = next((one for one in clients if one["username"] == name), None)
if client is None or not password:
    sys.exit(f"{path}: no client {name!r}, or no password")
salt = os.urandom(12)
digest = hashlib.pbkdf2_hmac("sha512", password, salt, ITERATIONS)
client |= {
    "password": base64.b64encode(digest).decode(),
    "salt": base64.b64encode(salt).decode(),
    "iterations": ITERATIONS,
}
try:
    path.write_text(json.dumps(document, indent=2) + "\n")
except OSError as error:
    sys.exit(f"{path}: cannot be written: {error.strerror}")
