"""Drives `panvault bench` and holds its figures against the aims; called by tests/speed.sh."""

import glob
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PANVAULT = sys.argv[1]
SOAK = "--soak" in sys.argv
SECONDS = os.environ.get("PANVAULT_SPEED_SECONDS", "10")
CACHE_MIB = 512  # the default
NOISE = 0.2  # what other users of a shared machine change within minutes
rows = []
misses = []
shorts = []


class Daemon:
    def __init__(self, dir):
        self.dir = dir

    def start(self):
        began = time.time()
        dev = f"{self.dir}/dev.json"
        old = os.stat(dev).st_mtime_ns if os.path.exists(dev) else None
        log = open(f"{self.dir}/log", "a")
        self.process = subprocess.Popen([PANVAULT, "dev", "--dir", self.dir], stderr=log)
        while not os.path.exists(dev) or os.stat(dev).st_mtime_ns == old:
            if self.process.poll() is not None:
                sys.exit(open(f"{self.dir}/log").read())
            time.sleep(0.02)
        return time.time() - began

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait() != 0:
            sys.exit("the daemon did not stop cleanly: " + open(f"{self.dir}/log").read())

    def bench(self, *arguments):
        done = subprocess.run([PANVAULT, "bench", *arguments, "--dir", self.dir, "--json"], stdout=subprocess.PIPE)
        if not done.stdout:
            sys.exit("the benchmark failed")
        return json.loads(done.stdout)

    def peak(self):
        return memory(self.process.pid, "VmHWM")

    def metrics(self):
        address = json.load(open(f"{self.dir}/dev.json"))["metrics"]
        return urllib.request.urlopen(f"http://{address}/metrics").read().decode()


def memory(pid, field):
    text = open(f"/proc/{pid}/status").read()
    return int(re.search(rf"{field}:\s+(\d+) kB", text).group(1)) * 1024


def row(what, figure, aim="", good=True):
    rows.append((what, figure, aim, "" if not aim else "yes" if good else "**no**"))
    print(f"  {what}: {figure}" + (f" (aim {aim}{'' if good else ', MISSED'})" if aim else ""), flush=True)
    if aim and not good:
        misses.append(what)


def speed_row(what, figure, aim, share):
    """`share`: of the aim reached, from 1 on met. What is short by less than `NOISE` is told, and ends no run."""
    row(what, figure, aim, share >= 1)
    if share < 1 and share >= 1 - NOISE:
        shorts.append(misses.pop())


def api(daemon, op, connections, **more):
    options = [f"--{name}={value}" for name, value in more.items()]
    got = daemon.bench("api", "--op", op, "--connections", str(connections), *(options or ["--seconds", SECONDS]))
    if got["errors"]:
        misses.append(f"{op}: {got['errors']} errors")
    return got


def best(daemon, op, connections, figure):
    # What else the machine has to do only adds to a figure.
    return min((api(daemon, op, connections) for _ in range(3)), key=lambda got: got[figure])


def quick(daemon):
    hsm = daemon.bench("hsm")
    row("token alone, 1 process: create", f"{hsm['create_per_s']:.0f}/s")
    row("token alone, 1 process: open", f"{hsm['open_per_s']:.0f}/s")
    row("fdatasync p50", f"{hsm['fdatasync_p50_us']} µs")
    for op, raw, allowed in (("create", hsm["create_per_s"], 800), ("reveal", hsm["open_per_s"], 600)):
        many = best(daemon, op, 64, "p99_us")
        share = many["per_s"] / raw
        row(f"{op}, 64 connections, best of 3 runs", f"{many['per_s']:.0f}/s")
        speed_row(f"{op}, share of the token's own rate", f"{share:.2f}", "≥ 0.45", share / 0.45)
        speed_row(f"{op}, 64 connections: p50 / p99 / p99.9",
            f"{many['p50_us'] / 1000:.1f} / {many['p99_us'] / 1000:.1f} / {many['p999_us'] / 1000:.1f} ms",
            "p99 ≤ 20 ms", 20_000 / many["p99_us"])
        if many.get("cpu_us_per_request"):
            row(f"{op}, processor time, all processes", f"{many['cpu_us_per_request']:.0f} µs")
        one = best(daemon, op, 1, "p50_us")
        limit = hsm["fdatasync_p50_us"] + allowed
        speed_row(f"{op}, 1 connection, best of 3 runs: p50", f"{one['p50_us']} µs",
            f"≤ fdatasync + {allowed} µs = {limit} µs", limit / one["p50_us"])
    inspect = api(daemon, "inspect", 64)
    row("inspect, 64 connections", f"{inspect['per_s']:.0f}/s")
    in_turns(daemon, "Mastercard retrieve", "mastercard-retrieve", "inspect", 0.8)
    in_turns(daemon, "Hyperswitch locker-add", "locker-add", "create", 0.9)
    in_turns(daemon, "Hyperswitch locker-retrieve", "locker-retrieve", "reveal", 0.9)
    locker_jwe(daemon)


def in_turns(daemon, what, op, native, aim):
    # The machine's own speed drifts by a third within minutes: each turn is held against the one after it, and the median counts.
    pairs = [[api(daemon, one, 64, seconds=2)["per_s"] for one in (op, native)] for _ in range(9)]
    share = statistics.median(one / other for one, other in pairs)
    mean = [statistics.mean(rates) for rates in zip(*pairs)]
    speed_row(f"{what}, 64 connections",
        f"{mean[0]:.0f}/s, {share:.2f} of native {native}'s {mean[1]:.0f}/s, median of turns", f"≥ {aim:.2f}", share / aim)


def locker_jwe(daemon):
    # Most of it is the token's two RSA operations, measured in turns with it and on all processors, as it is.
    for op in ("locker-jwe-add", "locker-jwe-retrieve"):
        rounds, rate, cpu, rsa = 3, 0, 0, 0
        for _ in range(rounds):
            hsm = daemon.bench("hsm", "--processes", "1", "--sessions", "1", "--seconds", "1")
            rsa += 2e6 * os.cpu_count() / hsm["sign_locker_per_s"] / rounds
            got = api(daemon, op, 64, seconds=3)
            rate += got["per_s"] / rounds
            cpu += got["cpu_us_per_request"] / rounds
        # 1.6 ms where the two take 1.1 ms: on a slower processor the rest is slower too
        speed_row(f"Hyperswitch {op}, 64 connections", f"{rate:.0f}/s, processor time, all processes {cpu:.0f} µs",
            f"≤ 1.45 × the token's two RSA operations = {1.45 * rsa:.0f} µs", 1.45 * rsa / cpu)


def recycling():
    # Many recycles in a million pairs of two jobs each.
    daemon = Daemon(tempfile.mkdtemp(prefix="pv", dir="/tmp"))
    daemon.start()
    daemon.stop()
    config = f"{daemon.dir}/panvault.toml"
    text = open(config).read().replace("[hsm]\n", "[hsm]\nrecycle_after = 100000\n")
    open(config, "w").write(text)
    daemon.start()
    return daemon


def soak():
    daemon = recycling()
    fresh = daemon.dir
    logged = os.path.getsize(f"{fresh}/log")
    total = int(os.environ.get("PANVAULT_SOAK_PAIRS", "1000000"))
    pairs = api(daemon, "pair", 64, requests=total, seconds=7200)
    row("soak: create+reveal pairs", f"{pairs['requests']}, {pairs['errors']} failed", "0 failed", pairs["errors"] == 0)
    row("soak: pairs", f"{pairs['per_s']:.0f}/s, p99 {pairs['p99_us'] / 1000:.1f} ms")
    log = open(f"{fresh}/log").read()[logged:]
    peaks = [int(peak) for peak in re.findall(r"peak=(\d+)", log)]
    if len(peaks) < 4:
        misses.append("soak: too few recycles were seen")
    else:
        middle = sorted(peaks)[len(peaks) // 2]
        spread = max(abs(peak - middle) for peak in peaks) / middle
        row("soak: workers' peak memory at recycles",
            f"{len(peaks)} recycles, {middle / 2**20:.0f} MiB ± {spread * 100:.1f} %", "± 10 %", spread <= 0.10)
    stored = int(float(re.search(r"^panvault_tokens (\S+)", daemon.metrics(), re.M).group(1)))
    allowed = 2 * CACHE_MIB * 2**20 + 200 * stored
    row(f"server's peak memory, {stored} tokens", f"{daemon.peak() / 2**20:.0f} MiB",
        f"≤ 2 × cache + 200 B a record = {allowed / 2**20:.0f} MiB", daemon.peak() <= allowed)
    against_empty(daemon, stored)
    daemon.stop()
    took = daemon.start()
    row(f"start after a clean stop, {stored} tokens", f"{took:.1f} s", "< 10 s", took < 10)
    check = subprocess.run([PANVAULT, "audit", "verify", "--dir", fresh], stdout=subprocess.PIPE, text=True)
    row("`audit verify` after all of it", "the chain is whole" if check.returncode == 0 else "faults", "passes",
        check.returncode == 0)
    daemon.stop()
    shutil.rmtree(fresh)


def against_empty(daemon, stored):
    # In turns with a new store: the machine's own speed drifts by a third within minutes, and so concerns both alike.
    empty = recycling()
    ops = ("create", "reveal")
    rates = {(op, store): 0 for op in ops for store in (empty, daemon)}
    for _ in range(3):
        for op, store in rates:
            rates[op, store] += api(store, op, 64, seconds=5)["per_s"]
    empty.stop()
    shutil.rmtree(empty.dir)
    for op in ops:
        share = rates[op, daemon] / rates[op, empty]
        speed_row(f"{op} with {stored} tokens stored",
            f"{rates[op, daemon] / 3:.0f}/s, {share:.2f} of {rates[op, empty] / 3:.0f}/s, paired with an empty store in the same minutes",
            "≥ 0.80", share / 0.8)


def main():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    dir = tempfile.mkdtemp(prefix="pv", dir="/tmp")
    daemon = Daemon(dir)
    daemon.start()
    try:
        quick(daemon)
    finally:
        daemon.stop()
    if SOAK:
        soak()
    shutil.rmtree(dir)
    print(f"\n{os.cpu_count()} × {model}, Linux {platform.release()}, SoftHSM2, {time.strftime('%Y-%m-%d')}\n")
    print("| what | figure | aim | met |\n|---|---|---|---|")
    for line in rows:
        print("| " + " | ".join(line) + " |")
    if shorts:
        print("\nshort of the aim, by less than a fifth: " + "; ".join(shorts))
    if misses:
        sys.exit("missed: " + "; ".join(misses))


main()
