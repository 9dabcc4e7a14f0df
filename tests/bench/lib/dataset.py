# SPDX-License-Identifier: MIT
"""The data the benchmarks run on: made once, reproducible, kept in a work folder."""
import os
import random
import subprocess

SMALL_FOLDERS = 80


def _random_file(path, size, seed):
    rng = random.Random(seed)
    with open(path, "wb") as out:
        for start in range(0, size, 1 << 20):
            out.write(rng.randbytes(min(1 << 20, size - start)))


def _text_file(path, size, rng, words):
    text = " ".join(rng.choices(words, k=size // 6 + 1))
    with open(path, "w", encoding="ascii") as out:
        out.write(text[:size])


def make_source(folder, large_bytes, small_files):
    """large/big (large_bytes), large/q0..q3 (a quarter each) and small/<80 folders>/<files of 1 to 64 KiB>."""
    done = os.path.join(folder, ".complete")
    stamp = f"{large_bytes} {small_files}\n"
    if os.path.exists(done) and open(done, encoding="ascii").read() == stamp:
        return
    os.makedirs(os.path.join(folder, "large"), exist_ok=True)
    _random_file(os.path.join(folder, "large", "big"), large_bytes, 1)
    for quarter in range(4):
        _random_file(os.path.join(folder, "large", f"q{quarter}"), large_bytes // 4, 10 + quarter)
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 10))) for _ in range(5000)]
    for number in range(small_files):
        parent = os.path.join(folder, "small", f"d{number % SMALL_FOLDERS:02}")
        os.makedirs(parent, exist_ok=True)
        _text_file(os.path.join(parent, f"f{number:05}.txt"), int(2 ** rng.uniform(10, 16)), rng, words)
    with open(done, "w", encoding="ascii") as out:
        out.write(stamp)


def make_repository(restic, folder, source, environment):
    """A repository of `source`, made by restic; returns its folder."""
    if not os.path.exists(os.path.join(folder, "complete")):
        subprocess.run([restic, "-q", "-r", folder, "init"], check=True, env=environment)
        subprocess.run([restic, "-q", "-r", folder, "backup", "."], check=True, env=environment, cwd=source)
        open(os.path.join(folder, "complete"), "w", encoding="ascii").close()
    return folder
