# SPDX-License-Identifier: GPL-2.0-or-later
"""Many connections to echo servers: crowd.py IDLE BUSY [greeted] HOST PORT [HOST PORT]…

Opens IDLE silent connections to each server and BUSY ones that send a line and wait for it again and again, and prints
a JSON list of the greetings ("" where the servers do not greet). For each line on stdin it then sends a line over every
connection and prints, as JSON, {"alive": N, "lost": {REASON: N}}; "close N" closes N connections first. Ends with stdin.
"""

import asyncio
import json
import sys

PATIENCE = 5.0
PAUSE = 0.02  # between two lines of a busy connection


class Member:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.lost = None
        self.lines = 0
        self.turn = asyncio.Lock()

    async def speak(self):
        """One line there and back; what goes wrong is kept."""
        async with self.turn:
            if self.lost is not None:
                return
            self.lines += 1
            line = f"line {self.lines}\n".encode()
            try:
                self.writer.write(line)
                back = await asyncio.wait_for(self.reader.readline(), PATIENCE)
                if back != line:
                    self.lost = "closed" if not back else f"garbled: {back!r}"
            except (OSError, asyncio.TimeoutError) as error:
                self.lost = getattr(error, "strerror", None) or "no answer"

    async def chatter(self):
        while self.lost is None:
            await self.speak()
            await asyncio.sleep(PAUSE)


async def join(host, port, is_greeted):
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PATIENCE)
    member = Member(reader, writer)
    greeting = (await asyncio.wait_for(reader.readline(), PATIENCE)).decode().strip() if is_greeted else ""
    await member.speak()
    if member.lost:
        raise ConnectionError(f"{host} {port}: {member.lost}")
    return member, greeting


def count(members):
    lost = {}
    for member in members:
        if member.lost is not None:
            lost[member.lost] = lost.get(member.lost, 0) + 1
    return {"alive": len(members) - sum(lost.values()), "lost": lost}


def close(members, number):
    for member in members[:number]:
        member.lost = "closed by us"
        member.writer.close()
    return members[number:]


async def main(words):
    idle, busy = int(words[0]), int(words[1])
    is_greeted = words[2] == "greeted"
    places = words[3:] if is_greeted else words[2:]
    members, greetings, chatters = [], [], []
    for host, port in zip(places[::2], places[1::2]):
        joined = await asyncio.gather(*(join(host, int(port), is_greeted) for _ in range(idle + busy)))
        greetings += [greeting for _, greeting in joined]
        chatters += [asyncio.ensure_future(member.chatter()) for member, _ in joined[:busy]]
        members += [member for member, _ in joined]
    print(json.dumps(greetings), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.startswith("close"):
            members = close(members, int(line.split()[1]))
        await asyncio.gather(*(member.speak() for member in members))
        print(json.dumps(count(members)), flush=True)
    for chatter in chatters:
        chatter.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
