"""PMI-1 by hand, for tests: a Client, and a small command language when run as a program.

    pmi1.py WORD...     init put:KEY=VALUE get:KEY barrier finalize abort:CODE raw:TEXT exit:CODE print:TEXT close wait

Prints each reply as "RANK reply".
"""
import os
import socket
import sys


class Client:
    def __init__(self):
        self.rank = int(os.environ["PMI_RANK"])
        self.size = int(os.environ["PMI_SIZE"])
        self.socket = socket.socket(fileno=int(os.environ["PMI_FD"]))
        self.buffer = b""
        self.name = "none"

    def send(self, line):
        self.socket.sendall(line.encode("latin-1") + b"\n")

    def receive(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def ask(self, line):
        self.send(line)
        return self.receive()


def main():
    client = Client()
    for item in sys.argv[1:]:
        if item[0].isdigit():  # "1:WORD" is for rank 1 only
            rank, _, item = item.partition(":")
            if int(rank) != client.rank:
                continue
        word, _, rest = item.partition(":")
        rest = rest.replace("%r", str(client.rank)).replace("%n", str((client.rank + 1) % client.size))
        reply = ""
        if word == "init":
            reply = client.ask("cmd=init pmi_version=1 pmi_subversion=1")
        elif word == "put":
            key, _, value = rest.partition("=")
            reply = client.ask(f"cmd=put kvsname={client.name} key={key} value={value}")
        elif word == "get":
            reply = client.ask(f"cmd=get kvsname={client.name} key={rest}")
        elif word == "barrier":
            reply = client.ask("cmd=barrier_in")
        elif word == "finalize":
            reply = client.ask("cmd=finalize")
        elif word == "raw":
            reply = client.ask(rest)
        elif word == "send":
            client.send(rest)
        elif word == "long":
            try:
                client.socket.sendall(b"x" * int(rest))
                reply = client.receive()
            except OSError:
                reply = None
        elif word == "nul":
            client.socket.sendall(b"cmd=init\0\n")
            reply = client.receive()
        elif word == "abort":
            client.send(f"cmd=abort exitcode={rest}")
            reply = client.receive()
        elif word == "print":
            reply = rest
        elif word == "close":
            client.socket.close()
        elif word == "wait":
            sys.stdin.read() if rest == "stdin" else __import__("signal").pause()
        elif word == "exit":
            sys.stdout.flush()
            os._exit(int(rest))
        if reply != "":
            print(client.rank, reply, flush=True)


if __name__ == "__main__":
    main()
