# SPDX-License-Identifier: MIT
"""Opens and seals single files of a repository with the openssl program, to forge what restic would never write."""

import base64
import hashlib
import json
import os
import subprocess


def _openssl(*args, data):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE, check=True).stdout


def _ctr(key, nonce, data):
    return _openssl("enc", "-aes-256-ctr", "-K", key.hex(), "-iv", nonce.hex(), data=data)


def _tag(k, r, nonce, data):
    clamped = bytearray(r)
    for at in (3, 7, 11, 15):
        clamped[at] &= 0x0F
    for at in (4, 8, 12):
        clamped[at] &= 0xFC
    pad = _openssl("enc", "-aes-128-ecb", "-nopad", "-K", k.hex(), data=nonce)
    return _openssl("mac", "-macopt", f"hexkey:{(bytes(clamped) + pad).hex()}", "-binary", "Poly1305", data=data)


class Key:
    """The three parts of a key."""

    def __init__(self, encrypt, k, r):
        self.encrypt, self.k, self.r = encrypt, k, r

    def seal(self, plain):
        nonce = os.urandom(16)
        sealed = _ctr(self.encrypt, nonce, plain)
        return nonce + sealed + _tag(self.k, self.r, nonce, sealed)

    def open(self, sealed):
        nonce, body, tag = sealed[:16], sealed[16:-16], sealed[-16:]
        assert _tag(self.k, self.r, nonce, body) == tag, "wrong key"
        return _ctr(self.encrypt, nonce, body)


def master_key(key_file, password):
    """The master key from a key file's content."""
    entry = json.loads(key_file)
    raw = hashlib.scrypt(password.encode(), salt=base64.b64decode(entry["salt"]), n=entry["N"], r=entry["r"],
                         p=entry["p"], dklen=64, maxmem=256 << 20)
    parts = json.loads(Key(raw[:32], raw[32:48], raw[48:]).open(base64.b64decode(entry["data"])))
    return Key(base64.b64decode(parts["encrypt"]), base64.b64decode(parts["mac"]["k"]),
               base64.b64decode(parts["mac"]["r"]))
