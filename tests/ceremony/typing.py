"""Types shares at a terminal: UID SHARE,SHARE… PROGRAM ARGUMENT…. Prints what the terminal showed."""
import os
import pty
import select
import sys
import time

uid, shares, command = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
script = []
for share in shares:
    lines = [line for line in open(share).read().splitlines() if line and not line.startswith("#")]
    # typed as people do: small letters, without the number; and one letter wrong the first time
    typed = [line.split(":")[1].lower() for line in lines]
    wrong = typed[1][:6] + ("b" if typed[1][6] == "a" else "a") + typed[1][7:]
    script += [("line 1 of 4: ", typed[0]), ("line 2 of 4: ", wrong), ("line 2 of 4: ", typed[1]),
               ("line 3 of 4: ", typed[2]), ("line 4 of 4: ", typed[3])]

child, terminal = pty.fork()
if child == 0:
    if os.getuid() == 0:
        os.setgid(int(uid))
        os.setuid(int(uid))
    os.execv(command[0], command)

shown, seen, until = "", 0, time.time() + 60


def read():
    """What the terminal shows next; None at its end."""
    ready, _, _ = select.select([terminal], [], [], max(0, until - time.time()))
    if not ready:
        raise SystemExit("the terminal shows nothing more: " + shown)
    try:
        return os.read(terminal, 4096).decode() or None
    except OSError:
        return None


for prompt, text in script:
    while prompt not in shown[seen:]:
        more = read()
        if more is None:
            raise SystemExit("it ended: " + shown)
        shown += more
    seen = len(shown)
    # echo is off by now: the prompt comes after that
    time.sleep(0.2)
    os.write(terminal, (text + "\n").encode())
while (more := read()) is not None:
    shown += more
print(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
