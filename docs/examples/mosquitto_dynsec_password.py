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

path, name = Path(sys.argv[1]), sys.argv[2]
password = sys.stdin.readline().rstrip("\n").encode()
document = json.loads(path.read_text())
client = next((one for one in document["clients"] if one["username"] == name), None)
if client is None or not password:
    sys.exit(f"{path}: no client {name!r}, or no password")
salt = os.urandom(12)
digest = hashlib.pbkdf2_hmac("sha512", password, salt, ITERATIONS)
client |= {
    "password": base64.b64encode(digest).decode(),
    "salt": base64.b64encode(salt).decode(),
    "iterations": ITERATIONS,
}
path.write_text(json.dumps(document, indent=2) + "\n")
